#include "reports/triage/stated_layouts.h"

#include <algorithm>
#include <optional>
#include <string>

#include "reports/triage/code.h"
#include "reports/triage/evidence.h"
#include "reports/triage/letters.h"
#include "reports/triage/shape_fit.h"
#include "reports/triage/text_parts.h"

namespace attnfuzz::triage {
namespace {

constexpr double kNames = .5;  ///< a word of this strength names an axis
constexpr double kWhose = .6;  ///< … and a tensor
constexpr size_t kMostAxes = 6;

/// The entries of a list: "batch", "num_heads", "128"; empty where it is no plain list.
std::vector<std::string> entries_of(std::string_view list) {
  std::vector<std::string> entries(1);
  for (const char x : list) {
    if (x == ',')
      entries.emplace_back();
    else if (is_word(x) || x == '*')
      entries.back() += x;
    else if (x != ' ')
      return {};
    else if (!entries.back().empty())
      entries.back() += x;
  }
  for (std::string& entry : entries)
    while (!entry.empty() && entry.back() == ' ') entry.pop_back();
  return entries;
}

bool is_number_word(const std::string& entry) {
  return !entry.empty() && std::all_of(entry.begin(), entry.end(), is_digit);
}

/// The axes of a list in brackets that names them; nothing where it is another list.
std::optional<std::vector<AxisGuess>> axes_in(std::string_view brackets) {
  const std::vector<std::string> entries = entries_of(brackets.substr(1, brackets.size() - 2));
  if (entries.size() < 2 || entries.size() > kMostAxes) return std::nullopt;
  std::vector<AxisGuess> axes = axes_of_names(entries);
  if (const std::vector<AxisGuess> products = axes_in_brackets(brackets);
      products.size() == axes.size())
    for (size_t k = 0; k < axes.size(); ++k)
      if (axes[k].axis == Axis::none) axes[k] = products[k];
  size_t names = 0, numbers = 0;
  for (size_t k = 0; k < entries.size(); ++k) {
    if (is_number_word(entries[k])) axes[k] = {}, ++numbers;
    names += axes[k].axis != Axis::none && axes[k].strength >= kNames;
  }
  if (names < 2 || 2 * (names + numbers) < entries.size() + 1) return std::nullopt;
  return axes;
}

/// Layouts that go by a name; "l" is any length.
constexpr std::string_view kNamed[][2] = {
    {"bshd", "blhd"}, {"bsnd", "blhd"}, {"btnh", "blhd"}, {"bmhk", "blhd"}, {"blhd", "blhd"},
    {"bhsd", "bhld"}, {"bnsd", "bhld"}, {"bhld", "bhld"}, {"sbhd", "lbhd"}, {"thd", "thd"},
    {"tnd", "thd"},   {"bsh", "blm"},   {"sbh", "lbm"},
};

/// "layout BSHD", "qkv_format=thd": a name that stands right behind a word that says what it is.
void add_named(std::string_view line, std::vector<StatedLayout>& all) {
  static constexpr std::string_view words[] = {"layout", "format", "layouts"};
  each_name(line, [&](std::string_view found) {
    const auto from = static_cast<size_t>(found.data() - line.data());
    std::string name(found);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char x) { return static_cast<char>(x | 32); });
    const std::string_view before = last_words(line, from, 24),
                           after = line.substr(from + found.size(), 12);
    std::string_view said = before;
    while (!said.empty() && !is_letter(said.back())) said.remove_suffix(1);
    const bool is_told =
        std::any_of(std::begin(words), std::end(words), [&](std::string_view word) {
          return said.ends_with(word) || said.ends_with("layout is") ||
                 after.starts_with(" " + std::string(word));
        });
    if (!is_told) return;
    for (const auto& [letters, axes] : kNamed) {
      if (letters != name) continue;
      StatedLayout layout;
      for (const char letter : axes)
        layout.axes.push_back(letter == 'l' ? AxisGuess{Axis::q_len, .8, true}
                                            : AxisGuess{axis_of_letter(letter), .8, false});
      all.push_back(std::move(layout));
    }
  });
}

bool is_input(Role role) {
  return role == Role::q || role == Role::k || role == Role::v || role == Role::hidden;
}

}  // namespace

std::vector<StatedLayout> layouts_stated_in(std::string_view line) {
  std::vector<StatedLayout> all;
  line = line.substr(0, line.find('#'));  // a comment tells of the line's own result
  for (size_t open = line.find_first_of("[("); open != line.npos;
       open = line.find_first_of("[(", open + 1)) {
    const size_t close = line.find(line[open] == '[' ? ']' : ')', open);
    if (close == line.npos) break;
    if (open > 0 && (is_word(line[open - 1]) || line[open - 1] == ']'))
      continue;  // a call, an index
    auto axes = axes_in(line.substr(open, close + 1 - open));
    if (!axes) continue;
    RoleGuess role = label_before(line.substr(0, open));
    if (role.strength < kWhose) role = {};
    all.push_back({role, std::move(*axes)});
  }
  add_named(line, all);
  return all;
}

double by_stated(std::span<const StatedLayout> stated, Role role, std::span<const Axis> axes) {
  constexpr double share = .5, unsaid = .6, most = 5;
  double best = 0, worst = 0;
  bool agrees = false;
  for (const StatedLayout& each : stated) {
    if (each.axes.size() != axes.size()) continue;
    const bool said = each.role.role != Role::none;
    if (said ? each.role.role != role : !is_input(role)) continue;
    double score = 0;
    for (size_t k = 0; k < axes.size(); ++k) score += share * by_word(each.axes[k], axes[k]);
    if (score > 0) {
      agrees = true;
      best = std::max(best, said ? score : unsaid * score);
    } else if (said) {
      worst = std::min(worst, score);
    }
  }
  return agrees ? std::min(best, most) : std::max(worst, -most);
}

}  // namespace attnfuzz::triage
