#include "fuzz/measure/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/weights.h"
#include "oracle/dtype.h"
#include "oracle/philox.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {

namespace {

/// A value whose elements differ, the first the largest.
std::vector<double> ramp(const Problem& p, double size) {
  std::vector<double> all(static_cast<size_t>(p.head_dim_v));
  for (size_t d = 0; d < all.size(); ++d) {
    constexpr uint64_t seed = 11;
    const double uniform = static_cast<double>(philox4x32(seed, d, 0).v[0]) / 4294967296.0;
    all[d] = round_to(p.dtype, d == 0 ? size : size * (2 * uniform - 1));
  }
  return all;
}

}  // namespace

void StorageFacts::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  constexpr size_t most_wrong = 400;  // of so many a law is told; more cost time
  if (wrong_.size() >= most_wrong) return;
  if (!c.cached() || c.cache->quant == Quant::none || p.sinks || p.memory_kv > 0) return;
  const Plan plan = declared(c);
  const double of_weights = weight_error(c, target.info().capabilities.precision_of(p.dtype));
  for (const double size : {0.02, 0.5, 3.0, 40.0, 400.0}) {
    if (!budget.allows(1)) return;
    Forge forge(plan);
    const std::vector<double> value = ramp(p, size);
    forge.queries([](int32_t, int64_t, int64_t, int64_t, std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
    });
    const double key = round_to(p.dtype, 3 * size);
    forge.keys([&](size_t, std::span<double> row) { std::fill(row.begin(), row.end(), key); });
    forge.values(
        [&](size_t, std::span<double> row) { std::copy(value.begin(), value.end(), row.begin()); });
    const std::optional<Given> given = run(target, plan, forge, budget);
    if (!given) return;
    for (const Query& query : plan.queries) {
      if (query.keys.empty()) continue;
      const std::span<const double> out = row_of(plan, *given, query);
      const int64_t head = p.kv_head(query.h);
      const double most = largest(c.cache->quant);
      StoredRead read{c.cache->quant,
                      value,
                      {out.begin(), out.end()},
                      forge.scale("v_scales", head, round_to(DType::f32, value[0] / most)),
                      forge.scale("k_scales", head, round_to(DType::f32, key / most)),
                      1e-3 + 8 * unit_roundoff(p.dtype)};
      std::vector<double> right = value, off(value.size(), 0.0), error(value.size());
      store(*c.cache, p.dtype, read.scale, off, right, error);
      bool wrong = false;
      for (size_t d = 0; d < right.size(); ++d)
        wrong |= !(std::abs(out[d] - right[d]) <= error[d] + of_weights * std::abs(right[d]));
      ++count_;
      where_.add(attributes_of(plan, query), wrong);
      if (wrong && wrong_.size() < most_wrong) wrong_.push_back(std::move(read));
    }
  }
}

std::vector<Statement> StorageFacts::statements() const {
  if (wrong_.empty()) return {};
  const std::string words = storage_words(wrong_, "values", "keys");
  if (words.empty()) return {};
  return {{"storage", fmt::format("In the quantised cache {}. (Seen in {} of {} queries{}.)", words,
                                  where_.marked(), count_, where_.words_after("; exactly:"))}};
}

}  // namespace attnfuzz::measure
