#include "reports/baseline.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "oracle/strict_json.h"
#include "reports/story.h"
#include "targets/plugin.h"

namespace attnfuzz {
namespace {

constexpr int format_version = 1;

/// What stays of a target's name from release to release, and from one checkout to the next: a
/// package without its environment, a plug-in's file without its folder.
std::string_view lasting_name(std::string_view target) {
  if (is_plugin_name(target)) return target.substr(target.rfind('/') + 1);
  return target.substr(0, target.find('@'));
}

const Baseline::Entry* find(const Baseline& baseline, std::string_view target,
                            std::string_view signature) {
  const auto entry = std::find_if(
      baseline.entries.begin(), baseline.entries.end(), [&](const Baseline::Entry& each) {
        return each.signature == signature && lasting_name(each.target) == lasting_name(target);
      });
  return entry == baseline.entries.end() ? nullptr : &*entry;
}

std::string text_of(const nlohmann::json& json, const std::string& where, const std::string& path) {
  if (!json.is_string()) throw InputError(where, path, "expected a text");
  return json.get<std::string>();
}

Baseline::Entry entry_of(const nlohmann::json& json, const std::string& where,
                         const std::string& path) {
  if (!json.is_object()) throw InputError(where, path, "expected an object");
  Baseline::Entry entry;
  for (const auto& [key, value] : json.items()) {
    const std::string at = path + pointer_part(key);
    if (key == "target")
      entry.target = text_of(value, where, at);
    else if (key == "signature")
      entry.signature = text_of(value, where, at);
    else if (key == "about")
      entry.about = text_of(value, where, at);
    else
      throw InputError(where, at, "expected target, signature and about, and no other key");
  }
  if (entry.target.empty() || entry.signature.empty())
    throw InputError(where, path, "expected a target and a signature");
  return entry;
}

}  // namespace

bool Baseline::knows(std::string_view target, std::string_view signature) const {
  return find(*this, target, signature) != nullptr;
}

Baseline parse_baseline(std::string_view text, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  if (!json.is_object() || json.size() != 2 || !json.contains("findings") ||
      json.value("attnfuzz_baseline", nlohmann::json()) != format_version)
    throw InputError(where, "", R"(expected {"attnfuzz_baseline": 1, "findings": […]})");
  const nlohmann::json& list = json.at("findings");
  if (!list.is_array()) throw InputError(where, "/findings", "expected a list");
  Baseline baseline;
  for (size_t k = 0; k < list.size(); ++k)
    baseline.entries.push_back(entry_of(list[k], where, "/findings/" + std::to_string(k)));
  return baseline;
}

std::string write_baseline(const Baseline& baseline) {
  nlohmann::ordered_json json{{"attnfuzz_baseline", format_version},
                              {"findings", nlohmann::ordered_json::array()}};
  for (const Baseline::Entry& entry : baseline.entries)
    json["findings"].push_back(
        {{"target", entry.target}, {"signature", entry.signature}, {"about", entry.about}});
  return pretty_json(json);
}

Baseline baseline_of(const Report& report, const Baseline& before) {
  Baseline baseline;
  for (const Report::Item& item : report.items) {
    const Baseline::Entry* known = find(before, item.finding.target, item.finding.signature);
    baseline.entries.push_back(
        known != nullptr
            ? *known
            : Baseline::Entry{item.finding.target, item.finding.signature, tell(item).title});
  }
  std::sort(baseline.entries.begin(), baseline.entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.target, a.signature) < std::tie(b.target, b.signature);
  });
  return baseline;
}

}  // namespace attnfuzz
