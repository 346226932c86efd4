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

}  // namespace
}  // namespace attnfuzz
