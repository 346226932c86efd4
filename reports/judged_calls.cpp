#include "reports/judged_calls.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/text.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::ordered_json;

std::string number_or_dash(const std::optional<int64_t>& number) {
  return number ? fmt::format("{}", *number) : "-";
}

std::string ratio_text(double ratio) {
  return std::isinf(ratio) ? "inf" : fmt::format("{:.3g}", ratio);
}

/// The worse of a call's two verdicts.
double ratio_of(const JudgedCall& each) {
  return std::max(each.asked.verdict.worst_ratio,
                  each.by_config ? each.by_config->verdict.worst_ratio : 0);
}

/// The calls that share a row of a table.
struct Row {
  std::vector<std::string> key;  ///< its first cells
  int64_t calls = 0, wrong = 0;
  double worst = 0;
  const JudgedCall* worst_call = nullptr;
  const JudgedCall* first_wrong = nullptr;

  void add(const JudgedCall& each) {
    ++calls;
    if (each.wrong() && wrong++ == 0) first_wrong = &each;
    if (worst_call == nullptr || ratio_of(each) > worst) {
      worst = ratio_of(each);
      worst_call = &each;
    }
  }
};

/// One row for each key, in the order in which they come up.
template <class Key>
std::vector<Row> rows_by(const std::vector<JudgedCall>& calls, const Key& key) {
  std::vector<Row> rows;
  for (const JudgedCall& each : calls) {
    const std::vector<std::string> cells = key(each);
    auto found =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.key == cells; });
    if (found == rows.end()) {
      rows.push_back({cells});
      found = rows.end() - 1;
    }
    found->add(each);
  }
  return rows;
}

/// Cells in columns; a row's last cell is not padded.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t k = 0; k < row.size(); ++k) {
      if (k == widths.size()) widths.push_back(0);
      widths[k] = std::max(widths[k], row[k].size());
    }
  std::string table;
  for (const auto& row : rows) {
    for (size_t k = 0; k < row.size(); ++k)
      table += k + 1 == row.size() ? row[k] : fmt::format("{:<{}}  ", row[k], widths[k]);
    table += "\n";
  }
  return table;
}

std::string table_of(const std::vector<Row>& rows, std::vector<std::string> head) {
  for (const char* each : {"calls", "wrong", "error/bound", "in", "first wrong"})
    head.emplace_back(each);
  std::vector<std::vector<std::string>> cells{head};
  for (const Row& row : rows) {
    std::vector<std::string> line = row.key;
    line.push_back(fmt::format("{}", row.calls));
    line.push_back(fmt::format("{}", row.wrong));
    line.push_back(ratio_text(row.worst));
    line.push_back(row.worst_call->call.case_file.filename().string());
    line.push_back(
        row.first_wrong == nullptr ? "-" : row.first_wrong->call.case_file.filename().string());
    cells.push_back(std::move(line));
  }
  return aligned(cells);
}

std::string place_of(const RecordedCall& call) {
  std::vector<std::string> parts;
  if (call.layer) parts.push_back(fmt::format("layer {}", *call.layer));
  if (!call.module.empty()) parts.push_back(text::line(call.module));
  if (call.step) parts.push_back(fmt::format("step {}", *call.step));
  if (!call.function.empty()) parts.push_back(text::line(call.function));
  if (!call.where.empty()) parts.push_back("called at " + text::line(call.where));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string verdict_word(const CallVerdict& of) {
  if (!of.outside.empty()) return "skip";
  return of.failed() ? fmt::format("fail:{}", name(of.verdict.failure))
                     : std::string(name(of.verdict.kind));
}

Json json_of(const CallVerdict& of) {
  Json json{{"verdict", verdict_word(of)},
            {"detail", of.outside.empty() ? of.verdict.detail : of.outside}};
  if (!of.judged()) return json;
  json["error_over_bound"] = of.verdict.worst_ratio;  // null: infinite
  if (!of.failed()) return json;
  json["signature"] = of.signature;
  json["causes"] = Json::array();
  for (const Cause& cause : of.causes)
    json["causes"].push_back({{"name", cause.name}, {"words", cause.words}});
  return json;
}

}  // namespace

std::string recording_text(const Recording& recording) {
  std::vector<std::string> packages;
  for (const auto& [package, version] : recording.packages)
    packages.push_back(text::line(package + " " + version));
  std::string words =
      fmt::format("{}: {}", recording.folder.string(),
                  text::count(static_cast<int64_t>(recording.calls.size()), "call"));
  if (!packages.empty()) words += fmt::format("; {}", fmt::join(packages, ", "));
  if (!recording.device.empty()) words += "; on " + text::line(recording.device);
  words += "\n";
  if (!recording.about.empty()) words += text::line(recording.about) + "\n";
  for (const NotKept& each : recording.not_kept)
    words +=
        fmt::format("not kept: {}, {}{}\n", text::count(each.count, "call"), text::line(each.why),
                    each.where.empty() ? "" : fmt::format(" ({})", text::line(each.where)));
  return words;
}

std::string calls_table(const std::vector<JudgedCall>& calls) {
  if (calls.empty()) return "";
  std::string tables =
      table_of(rows_by(calls,
                       [](const JudgedCall& each) {
                         return std::vector<std::string>{
                             number_or_dash(each.call.layer),
                             each.call.module.empty() ? "-" : text::line(each.call.module)};
                       }),
               {"layer", "module"});
  const bool wrong =
      std::any_of(calls.begin(), calls.end(), [](const JudgedCall& each) { return each.wrong(); });
  const bool steps = std::any_of(calls.begin(), calls.end(),
                                 [](const JudgedCall& each) { return each.call.step.has_value(); });
  if (wrong && steps)
    tables +=
        "\n" + table_of(rows_by(calls,
                                [](const JudgedCall& each) {
                                  return std::vector<std::string>{number_or_dash(each.call.step)};
                                }),
                        {"step"});
  return tables;
}

std::string first_wrong_text(const std::vector<JudgedCall>& calls) {
  const auto first =
      std::find_if(calls.begin(), calls.end(), [](const JudgedCall& each) { return each.wrong(); });
  if (first == calls.end()) return "";
  const bool as_asked = first->asked.failed();
  const CallVerdict& wrong = as_asked ? first->asked : *first->by_config;
  std::string words = fmt::format("The first wrong call is {}.\n", first->call.case_file.string());
  if (const std::string place = place_of(first->call); !place.empty())
    words += fmt::format("  where     {}\n", place);
  words += fmt::format("  case      {}\n", first->words);
  words += fmt::format("  {}  {}: {}\n", as_asked ? "as asked" : "by config",
                       name(wrong.verdict.failure), text::line(wrong.verdict.detail, 400));
  if (!as_asked)
    words +=
        "  The call computes what it was asked, but the model's configuration says something "
        "else.\n";
  return words;
}

Json calls_json(const Recording& recording, const std::vector<JudgedCall>& calls) {
  Json json{{"recording", recording.folder.string()},
            {"packages", recording.packages},
            {"calls", Json::array()}};
  int64_t wrong = 0;
  for (const JudgedCall& each : calls) {
    Json call{{"case", each.call.case_file.string()}, {"problem", each.words}};
    if (each.call.layer) call["layer"] = *each.call.layer;
    if (each.call.step) call["step"] = *each.call.step;
    for (const auto& [key, value] : {std::pair{"module", &each.call.module},
                                     {"function", &each.call.function},
                                     {"where", &each.call.where}})
      if (!value->empty()) call[key] = *value;
    call["wrong"] = each.wrong();
    call["asked"] = json_of(each.asked);
    if (each.by_config) call["by_config"] = json_of(*each.by_config);
    if (each.against) call["against"] = json_of(*each.against);
    json["calls"].push_back(std::move(call));
    wrong += each.wrong() ? 1 : 0;
  }
  json["wrong"] = wrong;
  json["not_kept"] = Json::array();
  for (const NotKept& each : recording.not_kept)
    json["not_kept"].push_back({{"why", each.why}, {"count", each.count}});
  return json;
}

}  // namespace attnfuzz
