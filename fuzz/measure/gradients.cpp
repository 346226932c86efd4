#include "fuzz/measure/gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "fuzz/measure/vectors.h"

namespace attnfuzz::measure {
namespace {

/// The query whose weights these are: the query itself, or another; none.
std::optional<size_t> owner(const Plan& plan, const Weights& got, const Weights& want, size_t n,
                            double error) {
  if (!differs(got.of(n), want.of(n), error)) return n;
  for (size_t m = 0; m < plan.queries.size(); ++m)
    if (m != n && !differs(got.of(n), want.of(m), error)) return m;
  return {};
}

}  // namespace

void GradientFacts::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  const Plan plan = declared(c);
  Forge forge(plan);
  const Vectors vectors(plan, c.data.seed, 1);
  vectors.put(forge);
  const std::optional<Weights> got = weigh_backward(target, plan, forge, budget);
  if (!got) return;
  const Weights want = expected(
      plan, forge, [&](const Query& query, const Key& key) { return vectors.score(query, key); });
  constexpr double rounding = 1e-3;
  const double error =
      std::max(rounding, weight_error(c, target.info().capabilities.precision_of(p.dtype)));
  Seen seen{{p.batch, p.num_heads, p.q_len}, p.layout == Layout::bhsd, {}};
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    // What sees one key or none has the same weights as others.
    if (plan.queries[n].keys.size() < 2) continue;
    const std::optional<size_t> other = owner(plan, *got, want, n, error);
    if (!other) {
      unknown_ = true;
      return;
    }
    const Query &a = plan.queries[n], &b = plan.queries[*other];
    seen.taken.push_back({{a.b, a.h, a.i}, {b.b, b.h, b.i}});
  }
  seen_.push_back(std::move(seen));
}

/// The order of axes in which grad_out is read, where one explains all cases: the layout's own in
/// cases that are right.
std::string GradientFacts::order() const {
  Index order{0, 1, 2};
  const Index logical = order;
  do {
    bool all = true, moved = false;
    Index lies{};
    for (const Seen& seen : seen_) {
      const bool wrong = std::any_of(seen.taken.begin(), seen.taken.end(),
                                     [](const auto& each) { return each.first != each.second; });
      if (!wrong) continue;
      lies = seen.heads_first ? logical : Index{0, 2, 1};
      for (const auto& [from, to] : seen.taken) {
        const Index read = reread(from, seen.sizes, lies, order);
        all &= read == to;
        moved |= read != from;
      }
    }
    if (all && moved)
      return fmt::format(
          "The backward pass reads grad_out in the order {}, where it lies as {} (its strides are "
          "taken for those of the other layout).",
          order_words(order, false), order_words(lies, false));
  } while (std::next_permutation(order.begin(), order.end()));
  return "";
}

std::vector<Statement> GradientFacts::statements() const {
  if (unknown_) return {};
  size_t wrong = 0, count = 0;
  std::string example;
  for (const Seen& seen : seen_)
    for (const auto& [from, to] : seen.taken) {
      ++count;
      if (from == to) continue;
      ++wrong;
      if (example.empty())
        example = fmt::format(
            "grad_out of row {} head {} query {} is taken for that of row {} head {} query {}.",
            from[0], from[1], from[2], to[0], to[1], to[2]);
    }
  if (wrong == 0) return {};
  std::string words = order();
  if (words.empty()) words = "The backward pass takes grad_out of another query.";
  return {{"queries", fmt::format("{} For example, {} (Seen in dv of {} of {} queries.)", words,
                                  example, wrong, count)}};
}

}  // namespace attnfuzz::measure
