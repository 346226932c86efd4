#include "fuzz/measure/stored_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/weights.h"
#include "oracle/dtype.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {
namespace {

constexpr double size = 3;       ///< of a key's largest element
constexpr double steps = 10.45;  ///< of the scale, that the element has: half of one is lost of it
constexpr size_t most_wrong = 200;  ///< of so many a law is told; more cost time
constexpr double spread = 3;        ///< of the scores

}  // namespace

void StoredKeys::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  if (!c.cached() || c.cache->quant == Quant::none || p.recurrent() || p.head_dim < 2) return;
  if (wrong_.size() >= most_wrong) return;
  if (p.rope != Rope::none || p.softcap > 0 || p.sinks || p.memory_kv > 0) return;
  Case exact = c;  // the values that tell the weights are 1 or 0, which no cache changes
  exact.cache->quant = Quant::none;
  const double of_weights = weight_error(exact, target.info().capabilities.precision_of(p.dtype));
  constexpr double most_error = 2e-3;  // of a coarser type a step of the scale does not show
  if (of_weights > most_error) return;
  const Plan plan = declared(c);
  for (const bool odd : {true, false}) measure(target, plan, odd, of_weights, budget);
}

void StoredKeys::measure(Target& target, const Plan& plan, bool odd, double of_weights,
                         Budget& budget) {
  const Case& c = plan.c;
  const Problem& p = c.problem;
  Forge forge(plan);
  const double by_token = round_to(DType::f32, size / largest(c.cache->quant));
  const auto scale_of = [&](int64_t head) { return forge.scale("k_scales", head, by_token); };
  const auto element = [&](int64_t head) { return round_to(p.dtype, steps * scale_of(head)); };
  const auto has = [&](size_t n) { return (plan.born[n] % 2 != 0) == odd; };
  forge.keys([&](size_t n, std::span<double> row) {
    std::fill(row.begin(), row.end(), 0.0);
    row[0] = size;
    if (n < plan.sources.size() && has(n)) row[1] = element(plan.sources[n].head);
  });
  const auto query_of = [&](int64_t head) {
    return round_to(p.dtype, spread / (p.scale_value() * element(head)));
  };
  constexpr double most_query = 1e4;
  for (int64_t g = 0; g < p.num_kv_heads; ++g)
    if (!(std::abs(query_of(g)) < most_query)) return;
  forge.queries([&](int32_t, int64_t, int64_t h, int64_t, std::span<double> row) {
    std::fill(row.begin(), row.end(), 0.0);
    row[1] = query_of(p.kv_head(h));
  });
  const std::optional<Weights> got = weigh(target, plan, forge, budget);
  if (!got) return;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& query = plan.queries[n];
    const int64_t head = p.kv_head(query.h);
    const Held& held = plan.held[static_cast<size_t>(query.step)][static_cast<size_t>(query.b)];
    const auto plain = std::find_if(query.keys.begin(), query.keys.end(),
                                    [&](const Key& key) { return !has(key.source); });
    if (plain == query.keys.end() || got->nonfinite[n] != 0) continue;
    const double base = std::log(got->of(n)[plain->source]) - plain->bias;
    std::vector<double> right{size, element(head)}, off(2, 0.0), error(2);
    store(*c.cache, p.dtype, scale_of(head), off, right, error);
    for (const Key& key : query.keys) {
      if (!has(key.source)) continue;
      const double read =
          (std::log(got->of(n)[key.source]) - key.bias - base) / (p.scale_value() * query_of(head));
      if (!std::isfinite(read)) continue;
      const double allowed = error[1] + 8 * of_weights * std::abs(right[1]);
      const bool wrong = std::abs(read - right[1]) > allowed;
      ++count_;
      where_.add(attributes_of(plan, query, held, key.place), wrong);
      if (wrong && wrong_.size() < most_wrong)
        wrong_.push_back({c.cache->quant,
                          {element(head)},
                          {read},
                          scale_of(head),
                          forge.scale("v_scales", head, 1),
                          1e-3 + 8 * of_weights});
    }
  }
}

std::vector<Statement> StoredKeys::statements() const {
  constexpr size_t enough = 3;
  if (wrong_.size() < enough) return {};
  const std::string words = storage_words(wrong_, "keys", "values");
  if (words.empty()) return {};
  return {{"storage", fmt::format("In the quantised cache {}. (Seen of {} of {} keys{}.)", words,
                                  where_.marked(), count_, where_.words_after("; exactly:"))}};
}

}  // namespace attnfuzz::measure
