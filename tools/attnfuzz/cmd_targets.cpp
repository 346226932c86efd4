#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fuzz/reach/dead_claims.h"
#include "fuzz/reach/sequence.h"
#include "targets/cuda/device.h"
#include "targets/cuda/emulated.h"
#include "targets/remote.h"
#include "targets/target.h"
#include "targets/zoo/zoo.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/target_options.h"

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

TargetInfo find_info(const std::string& name) {
  TargetOptions options;
  return options.open(name)->info();
}

/// What a campaign on the target is to reach, and with which case it does.
void print_reach(const std::string& target, uint64_t seed) {
  const TargetInfo info = find_info(target);
  Sequence sequence(info.capabilities, seed);
  std::map<size_t, const Sequence::Entry*> planned;
  for (const Sequence::Entry& entry : sequence.plan()) planned[entry.goal] = &entry;
  size_t boundaries = 0, pairs = 0;
  for (size_t k = 0; k < sequence.goals().size(); ++k) {
    const Goal& goal = sequence.goals()[k];
    ++(goal.is_pair ? pairs : boundaries);
    const auto entry = planned.find(k);
    fmt::print("{}{}\n", goal.name,
               entry != planned.end() ? fmt::format(": case {}, {:.1e} multiplications",
                                                    entry->second->index, entry->second->work)
               : sequence.is_covered(k)
                   ? std::string(": a case of another goal")
                   : ": not reached, " + sequence.rejection_reason(k, UINT64_MAX));
  }
  fmt::print("{}: {} boundaries and {} pairs of features, in {} planned cases at seed {}\n",
             info.name, boundaries, pairs, sequence.plan().size(), seed);
  for (const std::string& claim : dead_claims(sequence.claims(), sequence.unusable()))
    fmt::print("note: {}\n", claim);
}

}  // namespace

void add_targets(CLI::App& app, int& exit_code) {
  struct Options {
    bool json = false, verbose = false, all = false, reach = false;
    std::string target;
    uint64_t seed = 0;
  };
  const auto options = std::make_shared<Options>();
  app.add_flag("--json", options->json, "Print JSON, with every capability");
  app.add_flag("-v,--verbose", options->verbose, "Print sizes and features too");
  app.add_flag("--all", options->all, "List the bug zoo's mutants too (docs/zoo.md)");
  auto* target =
      app.add_option("target", options->target, "With --reach: the target whose goals to list");
  app.add_flag("--reach", options->reach,
               "List the boundaries that a campaign on TARGET is to reach, without running it")
      ->needs(target);
  app.add_option("--seed", options->seed, "With --reach: the seed of the campaign")
      ->check(whole_number())
      ->capture_default_str();
  app.callback([options, &exit_code] {
    exit_code = nothing_found;
    if (options->reach) return print_reach(options->target, options->seed);
    if (!options->target.empty())
      throw InputError("targets " + options->target, "", "expected --reach beside a target's name");
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
  });
}

}  // namespace attnfuzz::cli
