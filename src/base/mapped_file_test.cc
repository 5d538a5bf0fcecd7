#include "base/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/test_files.h"

namespace edgewise {
namespace {

using testing::HasSubstr;

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

size_t CountOf(const MappedFile& file, char wanted) {
  const auto bytes = file.bytes();
  return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), std::byte(wanted)));
}

class MappedFileTest : public testing::Test {
 protected:
  std::string Make(size_t size) {
    WriteFile(path_, std::string(size, 'x'));
    return path_;
  }
  TempFolder folder_;
  std::string path_ = folder_ / "file";
};

TEST_F(MappedFileTest, MapsTheWholeFile) {
  const MappedFile file(Make(3 * PageSize() + 5));
  EXPECT_EQ(file.path(), path_);
  EXPECT_EQ(file.bytes().size(), 3 * PageSize() + 5);
  EXPECT_EQ(CountOf(file, 'x'), 3 * PageSize() + 5);
  EXPECT_NO_THROW(file.CheckIntact());
}

TEST_F(MappedFileTest, PopulatedPagesAreResident) {
  const size_t size = 100 * PageSize() + 1;
  const MappedFile file(Make(size));
  file.Populate(0, file.bytes().size());
  EXPECT_EQ(file.ResidentBytes(), size);
}

TEST_F(MappedFileTest, ACopyStaysWhereTheMappingWasAndOutlivesTheFile) {
  const size_t size = 65 * kHugePage + 5;  // more than one piece
  MappedFile file(Make(size));
  const std::byte* const data = file.bytes().data();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % kHugePage, 0u);
  std::vector<uint64_t> steps;
  file.CopyToMemory([&](uint64_t done) { steps.push_back(done); });
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_EQ(steps.back(), size);
  EXPECT_EQ(file.bytes().data(), data);
  std::filesystem::resize_file(path_, 1);
  EXPECT_EQ(CountOf(file, 'x'), size);
  EXPECT_EQ(file.ResidentBytes(), size);
  EXPECT_NO_THROW(file.CheckIntact());
}

TEST_F(MappedFileTest, ACopyOfWhatWasCutShortIsAnError) {
  MappedFile file(Make(100 * PageSize()));
  std::filesystem::resize_file(path_, PageSize());
  EXPECT_EQ(MessageOf(ErrorCode::kIo, [&] { file.CopyToMemory([](uint64_t) {}); }),
            StrCat("cannot read ", path_, ": it was cut short meanwhile"));
}

TEST_F(MappedFileTest, RefusesWhatIsNoRegularFile) {
  const auto refusal = [](const std::string& path, ErrorCode code) {
    return MessageOf(code, [&] { MappedFile file(path); });
  };
  EXPECT_EQ(refusal(folder_ / "none", ErrorCode::kNotFound),
            StrCat("cannot open ", folder_ / "none", ": No such file or directory"));
  EXPECT_THAT(refusal(folder_.path(), ErrorCode::kIo), HasSubstr("it is a folder"));
  EXPECT_THAT(refusal("/dev/null", ErrorCode::kIo), HasSubstr("it is a pipe or a device"));
  EXPECT_THAT(refusal("/dev/zero", ErrorCode::kIo), HasSubstr("it is a pipe or a device"));
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(folder_ / "pipe", ErrorCode::kIo), HasSubstr("it is a pipe or a device"));
  WriteFile(folder_ / "empty", "");
  EXPECT_THAT(refusal(folder_ / "empty", ErrorCode::kIo), HasSubstr("it is empty"));
  WriteFile(folder_ / "plain", "x");
  EXPECT_THAT(refusal(folder_ / "plain/below", ErrorCode::kNotFound), HasSubstr("plain/below"));
  if (geteuid() != 0) {
    WriteFile(folder_ / "secret", "x");
    chmod((folder_ / "secret").c_str(), 0);
    EXPECT_THAT(refusal(folder_ / "secret", ErrorCode::kIo), HasSubstr("Permission denied"));
  }
}

TEST_F(MappedFileTest, ALostPageReadsAsZerosAndIsReported) {
  const MappedFile file(Make(8 * PageSize()));
  EXPECT_EQ(file.bytes()[0], std::byte('x'));
  std::filesystem::resize_file(path_, 2 * PageSize());
  EXPECT_EQ(CountOf(file, 'x'), 2 * PageSize());
  EXPECT_EQ(CountOf(file, 0), 6 * PageSize());
  EXPECT_EQ(MessageOf(ErrorCode::kIo, [&] { file.CheckIntact(); }),
            StrCat(path_,
                   ": the file was cut short, or could not be read, while it was in use: "
                   "restore it and start again"));

  // What was lost stays lost, whatever happens to the file: zeros have been read.
  WriteFile(path_, std::string(8 * PageSize(), 'x'));
  EXPECT_THROW(file.CheckIntact(), Error);
}

TEST_F(MappedFileTest, ALossInsideAPageIsReported) {
  const MappedFile file(Make(PageSize()));
  std::filesystem::resize_file(path_, PageSize() - 1);  // the tail reads as zero without a signal
  EXPECT_THROW(file.CheckIntact(), Error);
}

TEST_F(MappedFileTest, GrowthIsHarmless) {
  const MappedFile file(Make(100));
  WriteFile(path_, std::string(5000, 'x'));
  EXPECT_NO_THROW(file.CheckIntact());
  EXPECT_EQ(file.bytes().size(), 100u);
}

// Pages are lost in an order that splits the mapping as much as can be.
TEST_F(MappedFileTest, ManyLostPagesInAnyOrder) {
  constexpr size_t kPages = 140'000;  // every other one is more than the kernel's 65,530 mappings
  Make(1);
  std::filesystem::resize_file(path_, kPages * PageSize());  // sparse
  const MappedFile file(path_);
  std::filesystem::resize_file(path_, 1);
  size_t sum = 0;
  for (size_t i = kPages - 1; i > 1; i -= 2) {  // backwards: each is the first loss of its kind
    sum += static_cast<size_t>(file.bytes()[i * PageSize()]);
  }
  EXPECT_EQ(sum, 0u);
  EXPECT_THROW(file.CheckIntact(), Error);
}

TEST_F(MappedFileTest, SeveralThreadsReadWhileTheFileShrinks) {
  constexpr size_t kPages = 512;
  for (int round = 0; round < 5; ++round) {
    const MappedFile file(Make(kPages * PageSize()));
    std::atomic<bool> stop{false};
    std::atomic<int> reading{0}, wrong{0};
    std::vector<std::thread> readers;
    for (int t = 0; t < 4; ++t) {
      readers.emplace_back([&, t] {
        const volatile std::byte* bytes = file.bytes().data();
        reading.fetch_add(1);
        while (!stop.load()) {
          for (size_t page = static_cast<size_t>(t); page < kPages; page += 3) {
            const std::byte value = bytes[page * PageSize() + 7];
            if (value != std::byte('x') && value != std::byte{0}) wrong.fetch_add(1);
          }
        }
      });
    }
    while (reading.load() < 4) std::this_thread::yield();
    for (size_t pages = kPages; pages > 0; pages /= 2) {
      std::filesystem::resize_file(path_, pages / 2 * PageSize());
      std::this_thread::yield();
    }
    EXPECT_EQ(CountOf(file, 'x'), 0u);
    stop.store(true);
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_THROW(file.CheckIntact(), Error);
  }
}

TEST_F(MappedFileTest, OnlyTheShrunkenFileIsReported) {
  WriteFile(folder_ / "other", std::string(4 * PageSize(), 'y'));
  const MappedFile before(folder_ / "other");
  const MappedFile file(Make(4 * PageSize()));
  const MappedFile after(folder_ / "other");
  std::filesystem::resize_file(path_, 0);
  EXPECT_EQ(CountOf(file, 0), 4 * PageSize());
  EXPECT_THROW(file.CheckIntact(), Error);
  for (const MappedFile* other : {&before, &after}) {
    EXPECT_EQ(CountOf(*other, 'y'), 4 * PageSize());
    EXPECT_NO_THROW(other->CheckIntact());
  }
  const MappedFile next(folder_ / "other");  // a slot's mark does not outlive its mapping
  EXPECT_NO_THROW(next.CheckIntact());
}

TEST_F(MappedFileTest, TooManyMappings) {
  Make(1);
  std::vector<std::unique_ptr<MappedFile>> files;
  const auto fill = [&] {
    for (int i = 0; i <= MappedFile::kMaxMappings; ++i) {
      files.push_back(std::make_unique<MappedFile>(path_));
    }
  };
  try {  // the limit of descriptors may come first
    fill();
    ADD_FAILURE() << "no Error was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), testing::AnyOf(HasSubstr("1024 files are open already"),
                                                HasSubstr("Too many open files")));
  }
  files.clear();
  EXPECT_NO_THROW(MappedFile again(path_));
}

using MappedFileDeathTest = MappedFileTest;

// Under a sanitizer, its handler was there before ours: it reports and exits.
bool DiedOfSigbus(int status) {
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGBUS;
  return kSanitized && WEXITSTATUS(status) != 0;
}

// A mapping that is not ours, with a lost page: the process dies of SIGBUS as it would without us.
char ReadLostPage(const std::string& path) {
  const auto* data = static_cast<const char*>(
      mmap(nullptr, PageSize(), PROT_READ, MAP_SHARED, open(path.c_str(), O_RDONLY), 0));
  std::filesystem::resize_file(path, 0);
  return *static_cast<const volatile char*>(data);
}

TEST_F(MappedFileDeathTest, AForeignFaultStaysFatal) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const MappedFile file(Make(PageSize()));
  WriteFile(folder_ / "foreign", "x");
  EXPECT_EXIT(ReadLostPage(folder_ / "foreign"), DiedOfSigbus, "");
}

TEST_F(MappedFileDeathTest, ASignalFromAnotherProcessStaysFatal) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const MappedFile file(Make(PageSize()));
  EXPECT_EXIT(
      {
        kill(getpid(), SIGBUS);
        sleep(5);
        _exit(0);
      },
      DiedOfSigbus, "");
}

volatile sig_atomic_t earlier_calls = 0;
void EarlierHandler(int, siginfo_t*, void*) {
  earlier_calls = earlier_calls + 1;
  _exit(earlier_calls == 1 ? 77 : 1);
}

// In a process of its own, because our handler is installed once: before it, someone else's.
TEST(MappedFileChainDeathTest, AnEarlierHandlerGetsForeignFaults) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        struct sigaction action = {};
        action.sa_sigaction = EarlierHandler;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGBUS, &action, nullptr);
        const TempFolder folder;
        WriteFile(folder / "ours", std::string(2 * PageSize(), 'x'));
        WriteFile(folder / "foreign", "x");
        const MappedFile file(folder / "ours");
        std::filesystem::resize_file(folder / "ours", 0);
        if (CountOf(file, 0) != 2 * PageSize()) _exit(2);
        ReadLostPage(folder / "foreign");
      },
      testing::ExitedWithCode(77), "");
}

}  // namespace
}  // namespace edgewise
