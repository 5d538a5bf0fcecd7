#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/test_files.h"

namespace edgewise {
namespace {

TEST(AnonymousMemoryTest, IsZeroAndWritable) {
  AnonymousMemory memory(10'000);
  ASSERT_EQ(memory.size(), 10'000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 4096, 0u);
  EXPECT_EQ(std::count(memory.data(), memory.data() + 10'000, std::byte{0}), 10'000);
  memory.data()[9'999] = std::byte{7};
  memory.Populate();
  EXPECT_EQ(memory.data()[9'999], std::byte{7}) << "Populate keeps what is not first in a page";
}

TEST(AnonymousMemoryTest, Moves) {
  AnonymousMemory a(100);
  std::byte* const data = a.data();
  data[0] = std::byte{1};
  AnonymousMemory b(std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_EQ(b.size(), 100u);
  AnonymousMemory c;
  EXPECT_EQ(c.data(), nullptr);
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(c.data()[0], std::byte{1});
  EXPECT_EQ(AnonymousMemory(0).data(), nullptr);
}

TEST(AnonymousMemoryTest, AnAbsurdSizeIsAnError) {
  EXPECT_EQ(MessageOf(ErrorCode::kLimit, [] { AnonymousMemory memory(size_t{1} << 60); }),
            "cannot map 1024.0 PiB of memory: choose a smaller context or batch");
}

TEST(ArenaTest, PlanAndLayoutAgree) {
  AnonymousMemory memory(4096);
  Arena plan(nullptr), layout(memory.data());
  EXPECT_EQ(plan.Take<float>(3), nullptr);
  auto* const first = layout.Take<float>(3);
  EXPECT_EQ(plan.Take<char>(65), nullptr);
  auto* const second = layout.Take<char>(65);
  auto* const third = layout.Take<double>(0);
  auto* const fourth = layout.Take<double>(1);
  EXPECT_EQ(reinterpret_cast<std::byte*>(first), memory.data());
  EXPECT_EQ(reinterpret_cast<std::byte*>(second), memory.data() + 64);
  EXPECT_EQ(reinterpret_cast<std::byte*>(third), memory.data() + 192);
  EXPECT_EQ(static_cast<void*>(fourth), static_cast<void*>(third));
  EXPECT_EQ(plan.used(), 192u);
  EXPECT_EQ(layout.used(), 256u);
}

}  // namespace
}  // namespace edgewise
