#include "base/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/system_memory.h"
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

// Where the system has no huge pages for us this is usual memory: nothing but speed tells.
TEST(AnonymousMemoryTest, HugePagesAreAlignedAndOtherwiseTheSame) {
  for (const size_t size : {size_t{1}, size_t{10'000}, kHugePage, 3 * kHugePage + 5}) {
    AnonymousMemory memory(size, Pages::kHuge);
    ASSERT_EQ(memory.size(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % kHugePage, 0u);
    EXPECT_EQ(std::count(memory.data(), memory.data() + size, std::byte{0}), static_cast<ptrdiff_t>(size));
    memory.data()[size - 1] = std::byte{7};
    memory.Populate();
    if (size > 1) {
      EXPECT_EQ(memory.data()[size - 1], std::byte{7});
    }
  }
  EXPECT_EQ(AnonymousMemory(0, Pages::kHuge).data(), nullptr);
}

// The plan counts bytes: what lies behind the last whole huge page must not become one.
TEST(AnonymousMemoryTest, HugePagesTakeNoMoreThanTheirSize) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's shadow counts as ours";
  constexpr size_t kSize = 8 * kHugePage + 4096;
  const uint64_t before = ReadProcessMemory().rss_anon;
  AnonymousMemory memory(kSize, Pages::kHuge);
  memory.Populate();
  const uint64_t taken = ReadProcessMemory().rss_anon - before;
  EXPECT_LE(taken, kSize + (256 << 10));  // the kernel counts in batches of pages
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
  for (const Pages pages : {Pages::kUsual, Pages::kHuge}) {
    EXPECT_EQ(MessageOf(ErrorCode::kLimit, [&] { AnonymousMemory memory(size_t{1} << 60, pages); }),
              "cannot map 1024.0 PiB of memory: choose a smaller context or batch");
  }
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
