#pragma once
#include <string>

#include "reports/report.h"
#include "reports/text.h"

/// Pieces of the HTML page.
namespace attnfuzz::html {

extern const std::string_view style_css, page_js;  ///< embedded by CMake

inline std::string h(std::string_view words) {
  return text::xml(words);
}
std::string paragraph(std::string_view words);
/// A block that scrolls must be reachable by keyboard. `copy`: gets a button.
std::string block(std::string_view words, bool copy = false);
std::string details(std::string_view title, const std::string& inside);
std::string figure(std::string_view caption, const std::string& svg);
/// A table of two columns.
std::string rows_table(const std::vector<std::pair<std::string, std::string>>& rows);

/// One signature: the findings that share it (one for each target version or environment).
struct Group {
  std::vector<const Report::Item*> items;  ///< the last seen first
  const Report::Item& shown() const { return *items.front(); }
  int64_t count() const;
  std::string first_seen() const, last_seen() const;
  std::string versions() const;  ///< "transformers:llama4-eager 4.51.0, 4.51.1"
};
std::vector<Group> groups(const Report& report);

/// The page of one signature; `all` for the similar ones.
std::string finding_page(const Group& group, const std::vector<Group>& all);

}  // namespace attnfuzz::html
