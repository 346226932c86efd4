#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "targets/cuda/device.h"
#include "targets/cuda/emulated.h"
#include "targets/remote.h"
#include "targets/target.h"
#include "targets/zoo/zoo.h"
#include "tools/attnfuzz/command.h"

namespace attnfuzz::cli {
namespace {

/// A target, or why it can't be tested here.
struct Row {
  TargetInfo info;
  std::string missing;
};

std::vector<Row> rows(bool with_mutants) {
  std::vector<Row> all;
  for (const BuiltinTarget& entry : builtin_targets()) all.push_back({entry.open()->info(), ""});
  for (TargetInfo& info : cuda::device_targets())
    all.push_back({std::move(info), cuda::why_no_device()});
  for (PythonTarget& entry : list_python_targets())
    all.push_back({std::move(entry.info), std::move(entry.missing)});
  if (!with_mutants) return all;
  for (const zoo::Mutant& mutant : zoo::mutants()) all.push_back({zoo::open(mutant)->info(), ""});
  for (const cuda::Mutant& mutant : cuda::emulated_mutants())
    all.push_back({cuda::open_emulated_mutant("mutant:" + std::string(mutant.name))->info(), ""});
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

void print_row(const Row& row, size_t name_width, size_t version_width, bool verbose) {
  const bool available = row.missing.empty();
  fmt::print("{:<{}}  {:<{}}  {}\n", row.info.name, name_width, available ? row.info.version : "-",
             version_width, available ? row.info.about : "not available: " + row.missing);
  if (!available || !verbose) return;
  for (const auto& [axis, range] : row.info.capabilities.sizes)
    fmt::print("    {} {}…{}{}\n", axis, range.min, range.max,
               range.multiple_of > 1 ? fmt::format(" by {}", range.multiple_of) : "");
  fmt::print("    {}\n", fmt::join(row.info.capabilities.features, " "));
}

}  // namespace

void add_targets(CLI::App& app, int& exit_code) {
  struct Options {
    bool json = false, verbose = false, all = false;
  };
  const auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "Machine-readable, with every capability");
  app.add_flag("-v,--verbose", options->verbose, "Tell sizes and features too");
  app.add_flag("--all", options->all, "List the bug zoo's mutants too (docs/zoo.md)");
  app.callback([options, &exit_code] {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    const std::vector<Row> all = rows(options->all);
    size_t name = 0, version = 0;
    for (const Row& row : all) {
      name = std::max(name, row.info.name.size());
      version = std::max(version, row.info.version.size());
    }
    for (const Row& row : all) {
      if (options->json)
        list.push_back(to_json(row));
      else
        print_row(row, name, version, options->verbose);
    }
    if (options->json) fmt::print("{}\n", list.dump(2));
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
