#include <fmt/color.h>
#include <fmt/format.h>

#include "reports/story.h"
#include "reports/text.h"

namespace attnfuzz {

std::string finding_terminal(const Report::Item& item, bool colour) {
  const Story story = tell(item);
  const auto paint = [&](fmt::text_style style, std::string_view words) {
    return colour ? fmt::format(style, "{}", words) : std::string(words);
  };
  const auto field = [&](std::string_view key, std::string_view words) {
    return fmt::format("  {} {}\n", paint(fmt::emphasis::bold, fmt::format("{:<9}", key)), words);
  };
  std::string out = paint(fg(fmt::terminal_color::red) | fmt::emphasis::bold, story.title) + "\n";
  out += field("happened", text::line(story.happened, 600));
  if (!story.error_text.empty())
    out += field("error",
                 text::line(story.named_text.empty() ? story.error_text : story.named_text, 600));
  for (size_t k = 0; k < item.causes.size() && k < 3; ++k)
    out += field(item.causes[k].name == "location" ? "where"
                 : k == 0                          ? "cause"
                                                   : "or",
                 paint(fg(fmt::terminal_color::yellow), text::line(item.causes[k].words, 600)));
  if (!item.finding.signature.empty()) out += field("signature", item.finding.signature);
  return out;
}

}  // namespace attnfuzz
