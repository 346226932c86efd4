#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "fuzz/relations/relation.h"
#include "fuzz/signature.h"
#include "oracle/rows.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// A case, what a target did with it, and the bounds that its outputs keep.
struct Held {
  const Case& c;
  const Outcome& outcome;
  Answer bounds;
};

/// Element (b, h, s, d) of an output, by its layout.
size_t place(Layout layout, const Shape& shape, int64_t b, int64_t h, int64_t s, int64_t d) {
  return static_cast<size_t>(Rows(layout, shape).index(b, h, s) + d);
}

bool is_whole(const Held& side) {
  if (side.outcome.steps.size() != side.bounds.steps.size()) return false;
  for (size_t n = 0; n < side.bounds.steps.size(); ++n) {
    const StepAnswer& want = side.bounds.steps[n];
    if (!want.shape.empty() && (side.outcome.steps[n].out.shape != want.shape ||
                                side.outcome.steps[n].out.dtype != side.c.problem.dtype))
      return false;
  }
  return true;
}

class Comparison {
 public:
  Comparison(const Held& original, const Held& twin, const Twin& made, bool same_bits)
      : original_(original), twin_(twin), made_(made), same_bits_(same_bits) {
    for (const StepOutput& step : original.outcome.steps) values_.push_back(step.out.to_doubles());
    for (size_t n = 0; n < made.steps.size(); ++n) {
      queries(n);
      if (wrong_state_.empty()) state(n);
    }
  }

  /// Fills in what is wrong; leaves a pass as it is.
  void judge(std::string_view relation, Verdict& verdict) const {
    verdict = verdict_;
    if (verdict.wrong == 0 && wrong_state_.empty()) return;
    verdict.kind = VerdictKind::fail;
    verdict.failure = FailureKind::relation;
    const WorstElement& w = verdict.worst;
    const std::string what =
        verdict.wrong == 0
            ? wrong_state_
            : fmt::format(
                  "{} of {} elements differ; out[b={}, h={}, i={}, d={}]{} is {:.9g}, its "
                  "twin {:.9g}, and they may differ by {:.2g}",
                  verdict.wrong, verdict.checked, w.b, w.h, w.i, w.d,
                  original_.c.cached() ? fmt::format(" of step {}", w.step) : "", w.got, w.want,
                  w.bound);
    verdict.detail = fmt::format("{}: {} (twin: {})", relation, what, one_line(twin_.c));
  }

 private:
  void queries(size_t n) {
    const std::vector<Origin>& origins = made_.steps[n].queries;
    if (origins.empty()) return;
    const StepOutput& there = twin_.outcome.steps[n];
    const std::vector<double> values = there.out.to_doubles();
    const Problem& p = twin_.c.problem;
    const int64_t len = static_cast<int64_t>(origins.size()) / p.batch;
    for (size_t k = 0; k < origins.size(); ++k) {
      if (!origins[k].known()) continue;
      const auto b = static_cast<int64_t>(k) / len, s = static_cast<int64_t>(k) % len;
      for (int64_t h = 0; h < p.num_heads; ++h)
        for (int64_t d = 0; d < p.head_dim_v; ++d)
          element(n, place(p.layout, there.out.shape, b, h, s, d), values, origins[k], h, d);
    }
  }

  void element(size_t n, size_t at, const std::vector<double>& values, const Origin& origin,
               int64_t h, int64_t d) {
    const auto step = static_cast<size_t>(origin.step);
    const Shape& shape = original_.outcome.steps[step].out.shape;
    const size_t here = place(original_.c.problem.layout, shape, origin.b, h, origin.s, d);
    const double a = original_.bounds.steps[step].bound[here];
    const double b = twin_.bounds.steps[n].bound[at] / made_.factor;
    if (a == inf || b == inf) return;  // unchecked in one of them
    const double got = values_[step][here], other = values[at] / made_.factor;
    const double allowed = same_bits_ ? 0 : a + b, error = std::abs(got - other);
    ++verdict_.checked;
    if (error <= allowed || got == other || (std::isnan(got) && std::isnan(other))) {
      if (allowed > 0 && error <= allowed)
        verdict_.worst_ratio = std::max(verdict_.worst_ratio, error / allowed);
      return;
    }
    const double ratio = error < inf && allowed > 0 ? error / allowed : inf;
    if (++verdict_.wrong > 1 && ratio <= verdict_.worst_ratio) return;
    verdict_.worst_ratio = ratio;
    verdict_.worst = {origin.step, origin.b, h, origin.s, d, got, other, allowed};
  }

  void state(size_t n) {
    const StepOrigins& origins = made_.steps[n];
    if (origins.state_of < 0) return;
    const StepOutput& here = original_.outcome.steps[static_cast<size_t>(origins.state_of)];
    const StepOutput& there = twin_.outcome.steps[n];
    rows("lengths", here.lengths, there.lengths, origins);
    rows("positions", here.positions, there.positions, origins);
  }

  void rows(std::string_view what, const std::vector<int64_t>& here,
            const std::vector<int64_t>& there, const StepOrigins& origins) {
    const auto batch = static_cast<size_t>(original_.c.problem.batch);
    if (here.size() != batch || there.size() != origins.rows.size()) return;  // does not say
    for (size_t b = 0; b < there.size() && wrong_state_.empty(); ++b) {
      const int64_t own = here[static_cast<size_t>(origins.rows[b])];
      if (own != there[b])
        wrong_state_ = fmt::format("{} after step {}: row {} says {}, its twin {}", what,
                                   origins.state_of, origins.rows[b], own, there[b]);
    }
  }

  const Held &original_, &twin_;
  const Twin& made_;
  const bool same_bits_;
  std::vector<std::vector<double>> values_;
  Verdict verdict_;
  std::string wrong_state_;
};

std::optional<Twin> claimed_twin(const Relation& relation, const Capabilities& capabilities,
                                 const Case& c) {
  std::optional<Twin> twin = relation.twin(c);
  if (!twin || !is_valid(twin->c) || !capabilities.rejection_reason(twin->c).empty()) return {};
  return twin;
}

}  // namespace

std::vector<const Relation*> applicable(std::span<const Relation* const> of,
                                        const Capabilities& capabilities, const Case& c) {
  std::vector<const Relation*> found;
  if (of.empty() || c.problem.batch == 0 || !can_have_twin(c)) return found;
  if (!sample_of(c).empty()) return found;  // the twin's sample holds other rows
  // A twin's keys may differ between batch rows, which here share their memory.
  if (c.problem.strides == Strides::shared) return found;
  for (const Relation* relation : of)
    if (claimed_twin(*relation, capabilities, c)) found.push_back(relation);
  return found;
}

Examination examine_relation(Target& target, const Case& c, const Relation& relation) {
  const TargetInfo& about = target.info();
  Examination done;
  done.precision = about.capabilities.precision_of(c.problem.dtype);
  const Relation* const only[] = {&relation};
  if (applicable(only, about.capabilities, c).empty()) return done;
  const std::optional<Twin> twin = claimed_twin(relation, about.capabilities, c);
  const Inputs inputs = make_inputs(c);
  done.outcome = target.run(c, inputs);
  if (done.outcome.status != Status::ok) return done;
  const Inputs moved = twin_inputs(c, inputs, *twin);
  const Outcome other = target.run(twin->c, moved);
  if (other.status == Status::declined) return done;
  done.verdict.relation = &relation;
  if (other.status != Status::ok) {
    done.verdict.kind = VerdictKind::fail;
    done.verdict.failure = FailureKind::relation;
    done.verdict.detail =
        fmt::format("{}: the case runs, its twin does not: {}: {} (twin: {})", relation.name,
                    name(other.status), other.text, one_line(twin->c));
  } else {
    const Held here{c, done.outcome, answer(c, inputs, done.precision)};
    const Held there{twin->c, other, answer(twin->c, moved, done.precision)};
    if (is_whole(here) && is_whole(there))
      Comparison(here, there, *twin, relation.same_bits).judge(relation.name, done.verdict);
    done.verdict.relation = &relation;
  }
  if (done.verdict.failed()) done.signature = signature(about.name, c, done.verdict);
  return done;
}

Examination examine_with(Target& target, const Case& c, std::span<const Relation* const> relations,
                         bool run_twice, size_t first, size_t most) {
  Examination done = examine(target, c, run_twice);
  if (done.verdict.kind != VerdictKind::pass) return done;
  const std::vector<const Relation*> all = applicable(relations, target.info().capabilities, c);
  for (size_t n = 0; n < std::min(most, all.size()); ++n) {
    Examination other = examine_relation(target, c, *all[(first + n) % all.size()]);
    if (other.verdict.failed()) return other;
    done.verdict.relation = other.verdict.relation;
  }
  return done;
}

}  // namespace attnfuzz
