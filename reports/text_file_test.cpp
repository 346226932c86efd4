#include "reports/text_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "oracle/error.h"

namespace attnfuzz {
namespace {

TEST(TextFile, AnEmptyFileIsReadableAndAFolderIsNot) {
  const std::filesystem::path dir = ::testing::TempDir() + "attnfuzz-text-file-test";
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "empty").close();
  std::ofstream(dir / "bytes") << std::string("a\0\n", 3);
  EXPECT_EQ(read_text(dir / "empty"), "");
  EXPECT_EQ(read_text(dir / "bytes"), std::string("a\0\n", 3));
  EXPECT_THROW(read_text(dir), InputError);
  EXPECT_THROW(read_text(dir / "missing"), InputError);
  std::filesystem::remove_all(dir);
}

TEST(TextFile, IsWrittenWholeOrNotAtAll) {
  const std::filesystem::path dir = ::testing::TempDir() + "attnfuzz-text-file-write-test";
  EXPECT_TRUE(make_folder(dir / "new"));
  EXPECT_FALSE(make_folder(dir / "new"));
  write_text(dir / "a", "first");
  write_text(dir / "a", "second");
  EXPECT_EQ(read_text(dir / "a"), "second");
  EXPECT_FALSE(std::filesystem::exists(dir / "a.part"));
  std::filesystem::create_symlink("a", dir / "link");
  write_text(dir / "link", "third");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link"));
  EXPECT_EQ(read_text(dir / "a"), "third");
  EXPECT_THROW(write_text(dir / "missing" / "a", ""), InputError);
  EXPECT_THROW(write_text(dir / "new", ""), InputError);
  EXPECT_THROW(write_text("/dev/full", "text"), InputError);
  EXPECT_THROW(make_folder(dir / "a" / "below"), InputError);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace attnfuzz
