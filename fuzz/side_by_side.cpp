#include "fuzz/side_by_side.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "fuzz/elements.h"

namespace attnfuzz {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// One of the two: what it gave, and what it must give by its own precision.
struct Answered {
  const TargetInfo& info;
  Outcome outcome;
  Answer right;

  Answered(Target& target, const Case& c, const Inputs& inputs)
      : info(target.info()), outcome(target.run(c, inputs)) {
    if (outcome.status == Status::ok) right = answer(c, inputs, precision(c));
  }
  Precision precision(const Case& c) const {
    return info.capabilities.precision_of(c.problem.dtype);
  }
  Verdict verdict(const Case& c, const Inputs& inputs) const {
    const std::vector<std::string> none;
    return judge(c, inputs, precision(c), outcome, &none);
  }
};

bool is_same(double x, double y) {
  return x == y || (std::isnan(x) && std::isnan(y));
}

/// Looks for what differs between two outcomes of the same case that both ended well.
class Difference {
 public:
  Difference(const Case& c, const Answered& first, const Answered& second, SideBySide& found)
      : c_(c), a_(first), b_(second), found_(found) {}

  void look() {
    const std::vector<StepOutput>&x = a_.outcome.steps, &y = b_.outcome.steps;
    const size_t steps = a_.right.steps.size();
    if (x.size() != steps || y.size() != steps)
      return differ(fmt::format("outputs of {} and {} steps", x.size(), y.size()));
    for (size_t s = 0; s < steps && found_.agreement != Agreement::differ; ++s) {
      told("lengths", s, x[s].lengths, y[s].lengths);
      told("positions", s, x[s].positions, y[s].positions);
      if (x[s].capacity && y[s].capacity && x[s].capacity != y[s].capacity)
        differ(fmt::format("step {}: a capacity of {} and {}", s, *x[s].capacity, *y[s].capacity));
      step(s);
    }
  }

 private:
  void differ(std::string detail) {
    found_.agreement = Agreement::differ;
    found_.worst_ratio = infinity;
    found_.detail = std::move(detail);
  }

  void told(std::string_view what, size_t s, const std::vector<int64_t>& x,
            const std::vector<int64_t>& y) {
    if (!x.empty() && !y.empty() && x != y)
      differ(fmt::format("step {}: {} {} and {}", s, what, to_string(x), to_string(y)));
  }

  void step(size_t s) {
    const std::vector<WantedOutput> wanted = wanted_outputs(c_, a_.right.steps[s]),
                                    other = wanted_outputs(c_, b_.right.steps[s]);
    for (size_t k = 0; k < wanted.size() && found_.worst_ratio < infinity; ++k) {
      const Tensor* x = given_output(a_.outcome.steps[s], wanted[k].output);
      const Tensor* y = given_output(b_.outcome.steps[s], wanted[k].output);
      if (x == nullptr || y == nullptr) {
        if (x != y) differ(fmt::format("only one gives {}", name(wanted[k].output)));
      } else if (x->shape != y->shape || x->dtype != y->dtype) {
        differ(fmt::format("{} is {}{} and {}{}", name(wanted[k].output), name(x->dtype),
                           to_string(x->shape), name(y->dtype), to_string(y->shape)));
      } else if (x->shape == *wanted[k].shape) {
        elements(s, wanted[k], other[k], *x, *y);
      } else if (!(*x == *y)) {
        differ(fmt::format("{} has the wrong shape {} in both, and other elements",
                           name(wanted[k].output), to_string(x->shape)));
      }
    }
  }

  void elements(size_t s, const WantedOutput& wanted, const WantedOutput& other, const Tensor& x,
                const Tensor& y) {
    const std::vector<double> xs = judged_values(c_, wanted, x), ys = judged_values(c_, other, y);
    for (size_t e = 0; e < xs.size(); ++e) {
      const double bound = (*wanted.bound)[e] + (*other.bound)[e];
      if (is_same(xs[e], ys[e]) || bound == infinity) continue;
      const double apart = std::abs(xs[e] - ys[e]);
      const double ratio = std::isfinite(apart) && bound > 0 ? apart / bound : infinity;
      if (found_.agreement == Agreement::same_bits) found_.agreement = Agreement::within_bounds;
      if (ratio > 1) found_.agreement = Agreement::differ;
      if (ratio <= found_.worst_ratio) continue;
      found_.worst_ratio = ratio;
      found_.detail = fmt::format("{}{} is {:.9g} and {:.9g}, bounds {:.3g} and {:.3g}",
                                  c_.cached() ? fmt::format("step {}: ", s) : "",
                                  place_text(element_place(c_, wanted, s, e)), xs[e], ys[e],
                                  (*wanted.bound)[e], (*other.bound)[e]);
    }
  }

  const Case& c_;
  const Answered &a_, &b_;
  SideBySide& found_;
};

/// The second's text is compared where both raised; numbers of addresses and times may differ.
void compare_status(const Answered& a, const Answered& b, SideBySide& found) {
  if (a.outcome.status != b.outcome.status) {
    found.agreement = Agreement::differ;
    found.worst_ratio = infinity;
    found.detail = fmt::format("{} and {}", name(a.outcome.status), name(b.outcome.status));
    return;
  }
  if (a.outcome.text == b.outcome.text) return;
  found.agreement = Agreement::within_bounds;
  found.detail = fmt::format("both end with {}, with other texts", name(a.outcome.status));
}

bool same_failure(const Verdict& x, const Verdict& y) {
  return x.kind == y.kind && (!x.failed() || x.failure == y.failure);
}

template <class T>
std::vector<T> joined(std::vector<T> all, const std::vector<T>& more) {
  for (const T& each : more)
    if (std::find(all.begin(), all.end(), each) == all.end()) all.push_back(each);
  return all;
}

/// The sizes in both ranges; a range that holds none is left to the generator to refuse.
std::map<std::string, SizeRange> common_ranges(const std::map<std::string, SizeRange>& first,
                                               const std::map<std::string, SizeRange>& second) {
  std::map<std::string, SizeRange> ranges = first;
  for (const auto& [size, range] : second) {
    const auto [at, is_new] = ranges.emplace(size, range);
    SizeRange& common = at->second;
    if (is_new) continue;
    common.min = std::max(common.min, range.min);
    common.max = std::min(common.max, range.max);
    common.multiple_of = std::lcm(common.multiple_of, range.multiple_of);
  }
  return ranges;
}

}  // namespace

SideBySide run_both(Target& first, Target& second, const Case& c) {
  const Inputs inputs = make_inputs(c);
  SideBySide found;
  const Answered a(first, c, inputs), b(second, c, inputs);
  found.first = a.verdict(c, inputs);
  found.second = b.verdict(c, inputs);
  if (a.outcome.status == Status::declined || b.outcome.status == Status::declined) {
    found.agreement = Agreement::skipped;
    found.detail = a.outcome.status == Status::declined ? a.outcome.text : b.outcome.text;
  } else if (a.outcome.status == Status::ok && b.outcome.status == Status::ok) {
    Difference(c, a, b, found).look();
  } else {
    compare_status(a, b, found);
  }
  return found;
}

bool is_like(const SideBySide& one, const SideBySide& other) {
  return one.agreement == other.agreement && same_failure(one.first, other.first) &&
         same_failure(one.second, other.second);
}

Shrunk shrink_difference(Target& first, Target& second, const Case& c, const SideBySide& found,
                         int64_t max_tries, const Stop& stop) {
  return shrink(
      c,
      [&](const Case& smaller) {
        return first.info().capabilities.rejection_reason(smaller).empty() &&
               second.info().capabilities.rejection_reason(smaller).empty() &&
               is_like(run_both(first, second, smaller), found);
      },
      max_tries, stop);
}

Capabilities common_capabilities(const Capabilities& first, const Capabilities& second) {
  Capabilities common = first;
  common.sizes = common_ranges(first.sizes, second.sizes);
  common.params = common_ranges(first.params, second.params);
  common.features.clear();
  std::set_intersection(first.features.begin(), first.features.end(), second.features.begin(),
                        second.features.end(), std::back_inserter(common.features));
  common.equal = joined(first.equal, second.equal);
  common.excludes = joined(first.excludes, second.excludes);
  common.required = joined(first.required, second.required);
  common.max_rules = std::min(first.max_rules, second.max_rules);
  common.compiled_for = joined(first.compiled_for, second.compiled_for);
  for (const auto& [size, tiles] : second.tiles)
    common.tiles[size] = joined(common.tiles[size], tiles);
  return common;
}

}  // namespace attnfuzz
