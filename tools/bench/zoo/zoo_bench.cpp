// The bug zoo's figures as JSON lines, one for each mutant: how attnfuzz finds, shrinks and
// explains it, or after how many cases of a fixed grid it shows.
//   zoo_bench attnfuzz CASES SEED [NAME…]
//   zoo_bench served CASES SEED [NAME…]
//   zoo_bench grid [NAME…]
// "served": the kernels are built for tiles of 64 × 128 and head_dim 64 to 256; found, and no more.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>

#include "fuzz/campaign.h"
#include "reports/diagnose.h"
#include "targets/zoo/zoo.h"
#include "tools/bench/zoo/grid.h"

namespace {

using namespace attnfuzz;
using Json = nlohmann::ordered_json;

/// Whether `holds` is true of a part of the text between separators.
template <class Holds>
bool any_part(std::string_view text, char separator, const Holds& holds) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (holds(text.substr(0, end))) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

/// Whether a cause is right for the mutant: one of its names (one that ends in * stands for all
/// that begin so), or a measurement that says it.
bool is_right(const zoo::Mutant& mutant, const Cause& cause) {
  return any_part(mutant.causes, ' ',
                  [&](std::string_view name) {
                    return name.ends_with('*')
                               ? cause.name.starts_with(name.substr(0, name.size() - 1))
                               : cause.name == name;
                  }) ||
         any_part(mutant.says, '|', [&](std::string_view words) {
           return cause.words.find(words) != std::string::npos;
         });
}

Json by_attnfuzz(const zoo::Mutant& mutant, zoo::Build build, uint64_t cases, uint64_t seed) {
  const std::unique_ptr<Target> target = zoo::open(mutant, build);
  CampaignOptions options;
  options.cases = cases;
  options.seed = seed;
  options.stop_after = 1;
  options.max_diagnose = 60;          // such that a loaded machine measures as much
  if (build == zoo::Build::served) {  // whether it is found is all that is asked
    options.max_shrink_tries = 0;
    options.max_diagnose = 0;
  }
  std::optional<Finding> found;
  CampaignEvents events;
  events.finding = [&](const Finding& finding) { found = finding; };
  run_campaign(*target, options, events);
  Json row = {{"name", mutant.name},
              {"kernel", zoo::name_of(mutant.kernel)},
              {"about", mutant.about},
              {"found", nullptr}};
  if (!found) return row;
  row["found"] = found->index + 1;
  row["kind"] = name(found->last.verdict.failure);
  row["case"] = one_line(found->shrunk.c);
  if (build == zoo::Build::served) return row;
  row["weight"] = weight(found->shrunk.c);
  row["original"] = weight(found->original);
  row["signature"] = found->signature;
  row["tried"] = found->shrunk.tried;
  row["minimal"] = found->shrunk.minimal;
  row["expected"] = mutant.causes;
  row["causes"] = Json::array();
  row["words"] = Json::array();
  const std::vector<Cause> causes = diagnose(*found);
  for (const Cause& cause : causes) {
    row["causes"].push_back(cause.name);
    row["words"].push_back(cause.words);
  }
  const auto right = [&](const Cause& cause) { return is_right(mutant, cause); };
  row["first"] = !causes.empty() && right(causes.front());
  row["among"] = std::any_of(causes.begin(), causes.end(), right);
  return row;
}

Json by_grid(const zoo::Mutant& mutant) {
  const std::optional<size_t> found = bench::first_in_grid(mutant);
  return {{"name", mutant.name},
          {"found", found ? Json(*found + 1) : Json()},
          {"cases", bench::grid_size(mutant.kernel)}};
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const zoo::Build build = mode == "served" ? zoo::Build::served : zoo::Build::small;
  const int names = mode == "grid" ? 2 : 4;
  if ((mode != "attnfuzz" && mode != "served" && mode != "grid") || argc < names) {
    fmt::print(stderr,
               "usage: zoo_bench attnfuzz|served CASES SEED [NAME…] | zoo_bench grid [NAME…]\n");
    return 2;
  }
  const std::vector<std::string_view> wanted(argv + names, argv + argc);
  for (const zoo::Mutant& mutant : zoo::mutants()) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), mutant.name) == wanted.end())
      continue;
    const Json row = mode == "grid"
                         ? by_grid(mutant)
                         : by_attnfuzz(mutant, build, std::strtoull(argv[2], nullptr, 10),
                                       std::strtoull(argv[3], nullptr, 10));
    fmt::print("{}\n", row.dump());
    std::fflush(stdout);
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 3;
}
