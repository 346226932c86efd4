#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "fuzz/faults/rows.h"
#include "oracle/rows.h"
#include "reports/causes/causes.h"

namespace attnfuzz {
namespace {

/// The largest and the smallest score that a query of the case sees or could see.
struct Scores {
  double largest = 0, spread = 0;
};

Scores scores_of(const Case& original) {
  Case c = original;  // hidden keys count: a maximum may have been taken over them
  c.problem.mask.rules.clear();
  c.data.nonfinite = NonFinite::none;
  const RowReader reader(c, make_inputs(c));
  Scores found;
  for (int64_t b = 0; b < c.problem.batch; ++b)
    for (int64_t h = 0; h < c.problem.num_heads; ++h)
      for (int64_t i = 0; i < c.problem.q_len; ++i) {
        const RowKeys row = reader.row(b, h, i);
        if (row.keys.empty()) continue;
        const auto [low, high] =
            std::minmax_element(row.keys.begin(), row.keys.end(),
                                [](const auto& a, const auto& z) { return a.score < z.score; });
        found.largest = std::max(found.largest, std::abs(high->score));
        found.spread = std::max(found.spread, high->score - low->score);
      }
  return found;
}

/// One line for each kind of data that has to make no difference, or the one that IEEE arithmetic
/// makes.
struct LeakEntry {
  NonFinite data;
  CauseEntry entry;
};
constexpr LeakEntry leaks[] = {
    {NonFinite::nan_padding,
     {"nan-leak",
      "Keys or values that the mask hides hold NaN, and it comes through: a weight of 0 times NaN "
      "is NaN, and so is a score of NaN with -inf added. Hidden keys have to be skipped, or their "
      "values replaced by 0."}},
    {NonFinite::inf_padding,
     {"inf-leak",
      "Keys or values that the mask hides hold infinities, and they come through: 0 times inf is "
      "NaN, inf with -inf added too."}},
    {NonFinite::inf_value,
     {"inf-value",
      "Values that are seen hold infinities, and the output is not what IEEE arithmetic gives for "
      "the sum of p times v."}},
    {NonFinite::inf_bias,
     {"inf-bias",
      "A bias of -inf, which hides its key, makes NaN: exp(-inf + inf) where all scores of a tile "
      "or "
      "of a row are -inf, so that its maximum is -inf too, or 0 times -inf."}},
};

/// One line for each way to leave the range of a type.
struct RangeEntry {
  CauseEntry entry;
  bool (*holds)(const Case&, const Scores&);
};
constexpr double exp_limit = 88;         ///< e^88.7 is the largest float
constexpr double exp_nearly_limit = 80;  ///< its product with a key may be beyond that

constexpr RangeEntry ranges[] = {
    {{"half-overflow",
      "A score is beyond 65504, the largest number of f16: the products or the scores are kept in "
      "f16 and overflow."},
     [](const Case& c, const Scores& s) {
       return c.problem.dtype == DType::f16 && s.largest > info(DType::f16).max_finite;
     }},
    {{"softmax-range",
      "The scores are too far apart, or too large, for exp: it overflows, or every weight becomes "
      "0 and the sum with it. The maximum is not subtracted, or is another than that of the keys "
      "that are seen."},
     [](const Case&, const Scores& s) { return std::max(s.largest, s.spread) > exp_limit; }},
};

/// Of a state.
constexpr CauseEntry decay_overflow{
    "decay-overflow",
    "The decays of a row together are as good as 0: keys are divided by them, which overflows, and "
    "what that is multiplied with is 0. Between a key and a query only the decays between the two "
    "count, which are never above 1 together."};

/// The largest sum over a step's tokens of a state's gates, their sign turned.
double closed_by(const Case& c) {
  const Inputs inputs = make_inputs(c);
  double most = 0;
  for (const auto& [name, tensor] : inputs.all()) {
    if (!name.starts_with("gate")) continue;
    const Source gates(c.problem.layout, tensor);
    const size_t heads = c.problem.layout == Layout::bhsd ? 1 : 2;
    std::vector<double> gate(tensor.shape.size() > 3 ? static_cast<size_t>(tensor.shape[3]) : 1);
    for (int64_t b = 0; b < tensor.shape[0]; ++b)
      for (int64_t g = 0; g < tensor.shape[heads]; ++g) {
        std::vector<double> sums(gate.size());
        for (int64_t t = 0; t < tensor.shape[3 - heads]; ++t) {
          gates.read(b, g, t, gate);
          for (size_t d = 0; d < gate.size(); ++d) sums[d] -= gate[d];
        }
        for (const double sum : sums) most = std::max(most, sum);
      }
  }
  return most;
}

Cause cause_of(const CauseEntry& entry) {
  return {std::string(entry.name), std::string(entry.words)};
}

/// Of given keys and values those that are not finite, as the generator's data would have them;
/// none: all are finite. Nothing for keys with infinities: a score of -inf gives a weight of 0,
/// seen or not.
std::optional<NonFinite> held_by_keys(const Case& c) {
  const Inputs inputs = make_inputs(c);
  NonFinite held = NonFinite::none;
  for (const auto& [name, tensor] : inputs.all()) {
    const bool is_key = name.starts_with('k');
    if (!is_key && !name.starts_with('v')) continue;
    for (const double x : tensor.to_doubles()) {
      if (std::isinf(x) && is_key) return {};
      if (std::isnan(x)) held = NonFinite::nan_padding;
      if (std::isinf(x) && held == NonFinite::none) held = NonFinite::inf_padding;
    }
  }
  return held;
}

/// Data of hidden keys as the same in padding.
NonFinite of_padding(NonFinite data) {
  if (data == NonFinite::nan_hidden) return NonFinite::nan_padding;
  return data == NonFinite::inf_hidden ? NonFinite::inf_padding : data;
}

/// What of the table a failure on given tensors shows; none where it could be one or another. An
/// answer that is finite has only finite keys and values in it: the target took others.
NonFinite shown_by_given(const Case& c, const Verdict& verdict) {
  const std::optional<NonFinite> held = held_by_keys(c);
  const bool hides = c.data.nonfinite == NonFinite::inf_bias;
  if (held == NonFinite::none) return hides ? NonFinite::inf_bias : NonFinite::none;
  const bool came_through = std::isfinite(verdict.worst.want) && !std::isfinite(verdict.worst.got);
  return held && came_through && !hides ? *held : NonFinite::none;
}

}  // namespace

std::vector<Cause> causes_from_leaks(const Finding& finding, bool hidden) {
  const Case& c = finding.shrunk.c;
  if (finding.last.verdict.failure != FailureKind::nan) return {};
  const NonFinite data =
      c.data.given != nullptr ? shown_by_given(c, finding.last.verdict) : c.data.nonfinite;
  if (hidden == (data == NonFinite::inf_value)) return {};
  for (const LeakEntry& leak : leaks)
    if (leak.data == of_padding(data)) return {cause_of(leak.entry)};
  return {};
}

std::vector<Cause> causes_from_nonfinite(const Finding& finding) {
  const Case& c = finding.shrunk.c;
  if (finding.last.verdict.failure != FailureKind::nan || c.data.nonfinite != NonFinite::none)
    return {};
  if (c.problem.recurrent() && closed_by(c) > exp_nearly_limit) return {cause_of(decay_overflow)};
  if (c.cached() || c.problem.recurrent()) return {};
  const Scores scores = scores_of(c);
  for (const RangeEntry& range : ranges)
    if (range.holds(c, scores)) return {cause_of(range.entry)};
  return {};
}

std::span<const CauseEntry> nonfinite_table() {
  static const std::vector<CauseEntry> entries = [] {
    std::vector<CauseEntry> all;
    for (const LeakEntry& leak : leaks) all.push_back(leak.entry);
    for (const RangeEntry& range : ranges) all.push_back(range.entry);
    all.push_back(decay_overflow);
    return all;
  }();
  return entries;
}

}  // namespace attnfuzz
