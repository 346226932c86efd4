#include "targets/printed_text.h"

#include <gtest/gtest.h>

#include <string>

namespace attnfuzz {
namespace {

TEST(PrintedText, OfAFewLinesIsAllOfThem) {
  PrintedText printed;
  printed.append("one\ntw");
  printed.append("o\xff\n\n");
  EXPECT_EQ(printed.lines(), "one\ntwo?");
  printed.clear();
  EXPECT_EQ(printed.lines(), "");
}

TEST(PrintedText, KeepsTheFirstAndTheLastLinesOfMany) {
  PrintedText printed;
  for (int k = 0; k < 100000; ++k) printed.append("line " + std::to_string(k) + "\n");
  const std::string lines = printed.lines();
  EXPECT_TRUE(lines.starts_with("line 0\nline 1\n")) << lines.substr(0, 80);
  EXPECT_TRUE(lines.ends_with("\nline 99998\nline 99999")) << lines;
  EXPECT_NE(lines.find("\n[...]\nline 9"), std::string::npos) << lines;
  EXPECT_LE(lines.size(), PrintedText::first_kept + PrintedText::last_kept + 8);
}

TEST(PrintedText, ALineWithoutAnEndIsCut) {
  PrintedText printed;
  for (int k = 0; k < 1000; ++k) printed.append(std::string(100, 'x'));
  EXPECT_LE(printed.lines().size(), PrintedText::first_kept + PrintedText::last_kept + 8);
  EXPECT_TRUE(printed.lines().ends_with("xxx"));
}

}  // namespace
}  // namespace attnfuzz
