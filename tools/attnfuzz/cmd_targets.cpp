#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "targets/remote.h"
#include "targets/target.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

/// A target, or why it can't be tested here.
struct Row {
  TargetInfo info;
  std::string missing;
};

std::vector<Row> rows() {
  std::vector<Row> all;
  for (const BuiltinTarget& entry : builtin_targets()) all.push_back({entry.open()->info(), ""});
  for (PythonTarget& entry : list_python_targets())
    all.push_back({std::move(entry.info), std::move(entry.missing)});
  return all;
}

nlohmann::ordered_json to_json(const Row& row) {
  nlohmann::ordered_json json = {{"name", row.info.name},
                                 {"version", row.info.version},
                                 {"about", row.info.about},
                                 {"available", row.missing.empty()}};
  if (!row.missing.empty()) {
    json["missing"] = row.missing;
    return json;
  }
  json["capabilities"] = nlohmann::ordered_json::parse(write_capabilities(row.info.capabilities));
  return json;
}

void print_row(const Row& row, bool verbose) {
  if (!row.missing.empty()) {
    fmt::print("{:<40} {:<12} not available: {}\n", row.info.name, "-", row.missing);
    return;
  }
  fmt::print("{:<40} {:<12} {}\n", row.info.name, row.info.version, row.info.about);
  if (!verbose) return;
  for (const auto& [axis, range] : row.info.capabilities.sizes)
    fmt::print("    {} {}…{}{}\n", axis, range.min, range.max,
               range.multiple_of > 1 ? fmt::format(" by {}", range.multiple_of) : "");
  fmt::print("    {}\n", fmt::join(row.info.capabilities.features, " "));
}

}  // namespace

void add_targets(CLI::App& app, int& exit_code) {
  struct Options {
    bool json = false, verbose = false;
  };
  const auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "Machine-readable, with every capability");
  app.add_flag("-v,--verbose", options->verbose, "Tell sizes and features too");
  app.callback([options, &exit_code] {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Row& row : rows()) {
      if (options->json)
        list.push_back(to_json(row));
      else
        print_row(row, options->verbose);
    }
    if (options->json) fmt::print("{}\n", list.dump(2));
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
