#include "reports/text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <limits>

namespace attnfuzz {
namespace {

TEST(Text, AnsiAndControlCharactersAreGone) {
  EXPECT_EQ(text::clean("\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ a\x07z\x1b"),
            "red link a\\x07z");
  EXPECT_EQ(text::clean("a\r\nb\rc\td"), "a\nb\\x0dc\td");
  EXPECT_EQ(text::clean("x\xE2\x80\xAEy"), "x\\u202ey");  // right-to-left override
  EXPECT_EQ(text::clean("bad\xFF\xC0\x80 end\xE2\x82"), "bad��� end��");
  EXPECT_EQ(text::clean(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Text, HugeTextIsCutWithANote) {
  const std::string cut = text::clean(std::string(100000, 'x'), 1000);
  EXPECT_EQ(cut, std::string(936, 'x') + "\n[… 99064 more bytes left out]");
  EXPECT_EQ(text::clean(cut, 1000), cut);
  EXPECT_EQ(text::clean(std::string(1000, 'x'), 1000), std::string(1000, 'x'));
  EXPECT_EQ(text::line("a  b\n\n c", 160), "a b c");
  EXPECT_EQ(text::line("ééé", 3), "é…");
}

TEST(Text, CleanTextIsAFixpoint) {
  EXPECT_TRUE(rc::check([](const std::string& raw) {
    const std::string once = text::clean(raw);
    RC_ASSERT(text::clean(once) == once);
    for (const char c : once)
      RC_ASSERT(c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20);
  }));
}

TEST(Text, Xml) {
  EXPECT_EQ(text::xml("<a b=\"c\">&'</a> ]]>"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;&lt;/a&gt; ]]&gt;");
}

TEST(Text, MarkdownCannotBeBrokenOutOf) {
  EXPECT_EQ(text::markdown("q_len _x_ a__b"), "q_len \\_x\\_ a\\_\\_b");
  EXPECT_EQ(text::markdown("*a* [x](y) <b> | #"), "\\*a\\* \\[x\\](y) \\<b\\> \\| \\#");
  EXPECT_EQ(text::markdown_code("a`b"), "``a`b``");
  EXPECT_EQ(text::markdown_code("`"), "`` ` ``");
  EXPECT_EQ(text::markdown_block("x\n```\ny", "text"), "````text\nx\n```\ny\n````\n");
}

TEST(Text, Shell) {
  EXPECT_EQ(text::shell("it's $x"), "'it'\\''s $x'");
}

TEST(Text, CString) {
  EXPECT_EQ(text::c_string("a\"\\\n?1"), R"("a\042\134\012\0771")");
}

TEST(Text, Small) {
  EXPECT_EQ(text::number(0.1), "0.1");
  EXPECT_EQ(text::number(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(text::count(1, "row"), "1 row");
  EXPECT_EQ(text::count(0, "row"), "0 rows");
  EXPECT_EQ(text::list({"a", "b", "c"}), "a, b and c");
  EXPECT_EQ(text::sentence("the output"), "The output.");
}

}  // namespace
}  // namespace attnfuzz
