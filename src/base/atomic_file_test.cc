#include "base/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/test_files.h"

namespace edgewise {
namespace {

using testing::HasSubstr;

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(stat(path.c_str(), &status), 0);
  return status.st_mode & 07777;
}

TEST(AtomicFileTest, AppearsOnCommit) {
  const TempFolder folder;
  AtomicFile file(folder / "out");
  file.Write("hello, ");
  file.Write("world");
  EXPECT_EQ(file.written(), 12u);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  file.Commit();
  EXPECT_EQ(ReadFile(folder / "out"), "hello, world");
  EXPECT_EQ(folder.Files(), 1u);
}

TEST(AtomicFileTest, ReplacesAnOlderFileAtOnce) {
  const TempFolder folder;
  WriteFile(folder / "out", "old");
  AtomicFile file(folder / "out");
  file.Write("new");
  EXPECT_EQ(ReadFile(folder / "out"), "old");
  file.Commit();
  EXPECT_EQ(ReadFile(folder / "out"), "new");
}

TEST(AtomicFileTest, WithoutCommitNothingChanges) {
  const TempFolder folder;
  WriteFile(folder / "out", "old");
  {
    AtomicFile file(folder / "out");
    file.Write("new");
    EXPECT_EQ(folder.Files(), 2u);  // the temporary one lies beside it: a rename stays on one disk
  }
  EXPECT_EQ(ReadFile(folder / "out"), "old");
  EXPECT_EQ(folder.Files(), 1u);
}

TEST(AtomicFileTest, TwoWritersDoNotMeet) {
  const TempFolder folder;
  AtomicFile first(folder / "out"), second(folder / "out");
  first.Write("first");
  second.Write("second");
  second.Commit();
  EXPECT_EQ(ReadFile(folder / "out"), "second");
  first.Commit();
  EXPECT_EQ(ReadFile(folder / "out"), "first");
  EXPECT_EQ(folder.Files(), 1u);
}

TEST(AtomicFileTest, ModeFollowsTheUmask) {
  const TempFolder folder;
  for (const mode_t mask : {022, 077, 027}) {
    const mode_t before = umask(mask);
    AtomicFile file(folder / "out");
    file.Commit();
    umask(before);
    EXPECT_EQ(ModeOf(folder / "out"), 0644 & ~mask);
  }
}

TEST(AtomicFileTest, ASymbolicLinkStaysOne) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "there");
  WriteFile(folder / "there/real", "old");
  std::filesystem::create_symlink("there/real", folder / "link");
  AtomicFile file(folder / "link");
  file.Write("new");
  file.Commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(ReadFile(folder / "there/real"), "new");
}

TEST(AtomicFileTest, RefusesWhatCannotBeReplaced) {
  const TempFolder folder;
  const auto refusal = [](const std::string& path) {
    return MessageOf(ErrorCode::kIo, [&] { AtomicFile file(path); });
  };
  EXPECT_THAT(refusal(folder.path()), HasSubstr("it exists and is a folder"));
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("it exists and is no regular file"));
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(folder / "pipe"), HasSubstr("no regular file"));
  std::filesystem::create_symlink(folder / "nowhere", folder / "dangling");
  EXPECT_THAT(refusal(folder / "dangling"), HasSubstr("No such file"));
  EXPECT_THAT(refusal(folder / "no/folder/out"), HasSubstr("No such file or directory"));
  EXPECT_THAT(refusal(""), HasSubstr("cannot write a file without a name"));
  EXPECT_EQ(folder.Files(), 2u);  // the pipe and the link
  if (geteuid() != 0) {
    WriteFile(folder / "locked", "old");
    chmod((folder / "locked").c_str(), 0444);
    EXPECT_THAT(refusal(folder / "locked"), HasSubstr("Permission denied"));
    chmod(folder.path().c_str(), 0555);
    EXPECT_THAT(refusal(folder / "new"), HasSubstr("Permission denied"));
    chmod(folder.path().c_str(), 0755);
  }
}

// What a write does when there is no more room; the old file stays.
void ExpectRefusedWrite(const TempFolder& folder, const std::string& path, const char* reason) {
  const size_t files = folder.Files();
  {
    AtomicFile file(path);
    file.Write("x");
    const std::string much(1 << 20, 'y');
    const std::string message = MessageOf(ErrorCode::kIo, [&] {
      for (int i = 0; i < 16; ++i) file.Write(much);
      file.Commit();
    });
    EXPECT_THAT(message, HasSubstr(StrCat("cannot write ", path, ": ", reason, " (after ")));
  }
  EXPECT_EQ(folder.Files(), files) << "the temporary file is gone";
}

TEST(AtomicFileTest, AWriteAboveTheProcessLimitIsReported) {
  const TempFolder folder;
  WriteFile(folder / "out", "old");
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 3'000'000;
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  ExpectRefusedWrite(folder, folder / "out", "File too large");
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(ReadFile(folder / "out"), "old");
}

TEST(AtomicFileTest, AFullDiskIsReported) {
  const TempFolder folder;
  if (mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "needs the right to mount a small tmpfs";
  }
  WriteFile(folder / "out", "old");
  ExpectRefusedWrite(folder, folder / "out", "No space left on device");
  EXPECT_EQ(ReadFile(folder / "out"), "old");
  AtomicFile small(folder / "small");  // and the room is there again
  small.Write(std::string(1 << 20, 'z'));
  small.Commit();
  umount2(folder.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace edgewise
