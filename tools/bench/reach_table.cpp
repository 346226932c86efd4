// How far campaigns reach: for head sizes and for the shapes of served models, the goals that were
// reached after 100, 1,000 and 10,000 cases, and the cases per second, as a table in Markdown.
//   reach_table [CASES] [SEED]
#include <fmt/format.h>

#include <cstdlib>
#include <exception>
#include <memory>

#include "fuzz/campaign.h"
#include "fuzz/reach/sequence.h"
#include "targets/cpu/block_claims.h"
#include "targets/cpu/claiming.h"

namespace {

using namespace attnfuzz;

/// What a row of the table claims. Lengths go to 4,096 everywhere.
struct Row {
  std::string_view name;
  int64_t num_heads, num_kv_heads;  ///< 0: from 1 to 8, all ratios
  int64_t head_dim, head_dim_v;
};
constexpr Row shapes[] = {{"head_dim 8", 0, 0, 8, 8},       {"head_dim 64", 0, 0, 64, 64},
                          {"head_dim 128", 0, 0, 128, 128}, {"head_dim 256", 0, 0, 256, 256},
                          {"32/8 × 128", 32, 8, 128, 128},  {"64/8 × 128", 64, 8, 128, 128},
                          {"8/4 × 256", 8, 4, 256, 256},    {"128/1 × 576/512", 128, 1, 576, 512}};
constexpr uint64_t marks[] = {100, 1000, 10000};

std::string claims_of(const Row& shape, bool paged) {
  const auto range = [](int64_t size) {
    return size == 0 ? std::string("[1, 8]") : fmt::format("[{0}, {0}]", size);
  };
  std::string sizes = fmt::format(
      R"("batch": [1, 4], "num_heads": {}, "num_kv_heads": {}, "q_len": [1, 4096],
         "kv_len": [1, 4096], "head_dim": {}, "head_dim_v": {})",
      range(shape.num_heads), range(shape.num_kv_heads), range(shape.head_dim),
      range(shape.head_dim_v));
  if (paged)
    sizes += R"(, "steps": [1, 32], "capacity": [16, 4096, 16], "page_size": [16, 64, 16])";
  std::string features =
      R"("dtype:f32", "layout:bhsd", "gqa", "mqa", "head_dim_v", "scale", "softcap", "rule:causal",
         "rule:window")";
  features += paged ? R"(, "cache:paged", "step:prefill", "step:append", "step:decode", "ragged")"
                    : R"(, "cross", "align:bottom_right", "fully_masked:zero", "lse")";
  return fmt::format(R"({{"sizes": {{{}}}, "features": [{}],
                         "tiles": {{"q_len": [64], "kv_len": [128]}}, "precision": {}}})",
                     sizes, features, block_precision);
}

std::string measured(const Row& shape, bool paged, uint64_t cases, uint64_t seed) {
  const std::string claims = claims_of(shape, paged);
  const std::unique_ptr<Target> target =
      paged ? cpu_paged_cache_claiming(claims) : cpu_tiled_claiming(claims);
  CampaignOptions options;
  options.seed = seed;
  options.cases = cases;
  std::string reached;
  CampaignEvents events;
  events.progress = [&](const CampaignStats& stats) {
    for (const uint64_t mark : marks)
      if (stats.cases == mark) reached += fmt::format(" {} |", reached_goals(stats.reach));
  };
  CampaignStats stats = run_campaign(*target, options, events);
  if (stats.failed + stats.skipped > 0)
    throw std::runtime_error(fmt::format("{}: a right target fails or declines", shape.name));
  for (const uint64_t mark : marks)
    if (mark > cases) reached += " – |";
  Sequence sequence(target->info().capabilities, seed);
  add_missed(sequence, cases, stats.reach);
  size_t too_costly = 0;
  for (const auto& [goal, why] : stats.reach) too_costly += why.starts_with("too costly");
  return fmt::format("| {}{} | {} |{} {} | {:.0f} |\n", shape.name, paged ? ", paged" : "",
                     stats.reach.size(), reached, too_costly,
                     static_cast<double>(stats.cases) / stats.seconds);
}

}  // namespace

int main(int argc, char** argv) try {
  const uint64_t cases = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10000;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  fmt::print(
      "| claims | goals | after 100 | after 1,000 | after 10,000 | too costly | cases/s |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (const bool paged : {false, true})
    for (const Row& shape : shapes) {
      fmt::print("{}", measured(shape, paged, cases, seed));
      std::fflush(stdout);
    }
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "reach_table: {}\n", error.what());
  return 1;
}
