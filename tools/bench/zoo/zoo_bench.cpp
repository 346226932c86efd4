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

/// Whether `name` is one of the words; a word that ends in * stands for all that begin so.
bool is_among(std::string_view name, std::string_view words) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(end + 1, words.size()));
    const bool open = word.ends_with('*');
    if (open) word.remove_suffix(1);
    if (open ? name.starts_with(word) : name == word) return true;
  }
  return false;
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
  for (const Cause& cause : diagnose(*found)) {
    row["causes"].push_back(cause.name);
    row["words"].push_back(cause.words);
  }
  const Json& causes = row["causes"];
  row["first"] = !causes.empty() && is_among(std::string(causes.front()), mutant.causes);
  row["among"] = std::any_of(causes.begin(), causes.end(), [&](const Json& cause) {
    return is_among(cause.get<std::string>(), mutant.causes);
  });
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
