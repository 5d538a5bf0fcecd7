#include "machine/named_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_files.h"

namespace edgewise {
namespace {

using ::testing::ElementsAre;

TEST(NamedFiles, TheFirstFolderThatHasANameGivesTheFile) {
  const TempFolder folder;
  WriteFile(folder / "a/x.toml", "");
  WriteFile(folder / "b/x.toml", "");
  WriteFile(folder / "b/y.toml", "");
  WriteFile(folder / "b/z.csv", "");
  WriteFile(folder / "b/.hidden.toml", "");
  const NamedFiles files({folder / "none", folder / "a", folder / "b"});
  EXPECT_THAT(files.Names(), ElementsAre("x", "y"));
  EXPECT_EQ(files.PathOf("x"), folder / "a/x.toml");
  EXPECT_EQ(files.PathOf("y"), folder / "b/y.toml");
  EXPECT_EQ(files.PathOf("x", folder / "b"), folder / "b/x.toml");
  EXPECT_EQ(files.PathOf("z"), "");
  EXPECT_EQ(files.PathOf("../a/x"), "");
  EXPECT_EQ(files.PathOf(".hidden"), "");
}

TEST(NamedFiles, AFileThatIsTooLongIsNotReadWhole) {
  const TempFolder folder;
  WriteFile(folder / "x.toml", std::string(100, '#'));
  EXPECT_EQ(ReadNamedFile(folder / "x.toml", 10, "chip").size(), 11u);
  EXPECT_EQ(ReadNamedFile(folder / "x.toml", 100, "chip").size(), 100u);
  EXPECT_THROW(ReadNamedFile(folder / "y.toml", 10, "chip"), Error);
  EXPECT_THROW(ReadNamedFile("/dev/zero", 10, "chip"), Error);
}

TEST(NamedFiles, FoldersInOrder) {
  EXPECT_THAT(NamedFolders("chips", "/own", "/opt/edgewise/bin", "/src/edgewise"),
              ElementsAre("/own", "/opt/edgewise/share/edgewise/chips", "/src/edgewise/chips"));
  EXPECT_THAT(NamedFolders("devices", "", "", "/src"), ElementsAre("/src/devices"));
}

}  // namespace
}  // namespace edgewise
