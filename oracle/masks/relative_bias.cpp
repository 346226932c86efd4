#include <cmath>

#include "oracle/inputs.h"
#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr std::string_view directions[] = {"both", "past"};
constexpr std::string_view spacings[] = {"linear", "log"};
constexpr RuleParam params[] = {
    {.name = "buckets", .kind = RuleParam::Kind::integer, .min = 4, .max = 512},
    {.name = "max_distance", .kind = RuleParam::Kind::integer, .min = 1},
    {.name = "direction", .kind = RuleParam::Kind::choice, .choices = directions},
    {.name = "spacing", .kind = RuleParam::Kind::choice, .choices = spacings}};

struct Buckets {
  int64_t count;  ///< for each side
  int64_t max_distance;
  bool both, log;

  explicit Buckets(const RuleUse& use)
      : count(use.integer("buckets")),
        max_distance(use.integer("max_distance")),
        both(use.choice("direction") == "both"),
        log(use.choice("spacing") == "log") {
    if (both) count /= 2;
  }

  int64_t of(int64_t key_minus_query) const {
    const int64_t side = both && key_minus_query > 0 ? count : 0;
    const int64_t n = both ? std::abs(key_minus_query) : std::max<int64_t>(0, -key_minus_query);
    return side + std::min(count - 1, log ? by_logarithm(n) : std::min(n, max_distance));
  }

 private:
  /// Half of the buckets for a distance each, the others for ever longer stretches. The summand
  /// keeps a distance that begins a bucket out of the one before.
  int64_t by_logarithm(int64_t n) const {
    constexpr double rounding = 1e-9;
    const int64_t exact = count / 2;
    if (n < exact) return n;
    if (n >= max_distance) return count - 1;
    const double share = std::log(static_cast<double>(n) / static_cast<double>(exact)) /
                         std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
    return exact + static_cast<int64_t>(share * static_cast<double>(count - exact) + rounding);
  }
};

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  if (row.bias.empty()) return;
  const Buckets buckets(use);
  std::vector<double> table;
  for (int64_t n = 0; n < use.integer("buckets"); ++n)
    table.push_back(round_to(context.problem.dtype,
                             element(context.data, Role::bias, 0, 0, context.h, n, 0, 1)));
  for (size_t j = 0; j < row.bias.size(); ++j)
    row.bias[j] += table[static_cast<size_t>(buckets.of(context.key_pos[j] - context.q_pos))];
}

}  // namespace

/// A learned bias by the distance of query and key, for each query head: the bias of T5 (Raffel et
/// al. 2020) with `spacing` log, a table by distance with linear. `direction` both: half of the
/// buckets are for keys behind the query. The table's numbers are those of the rule "bias", number
/// n in place (0, head, n, 0).
extern const RuleSpec relative_bias;
const RuleSpec relative_bias = {
    .name = "relative_bias",
    .words = "always; a bias by its distance from the query is added to its score",
    .params = params,
    .positional = true,
    .adds_bias = true,
    .apply = apply,
    .drawn = true};

}  // namespace attnfuzz::masks
