#include "fuzz/mutate.h"

#include <algorithm>
#include <numeric>

#include "fuzz/byte_draw.h"
#include "fuzz/cut_lens.h"
#include "fuzz/shrink.h"
#include "oracle/case_io.h"
#include "oracle/fnv.h"
#include "oracle/work.h"

namespace attnfuzz {
namespace {

constexpr int tries = 12;              ///< to stay inside the claims, before a new case is made
constexpr double most_work = 1 << 22;  ///< of what is made here; what is given may be more
constexpr int percent_aimed = 50;      ///< of new cases

/// A part of a case that can be taken from another.
using Part = void (*)(Case& to, const Case& from);
#define ATTNFUZZ_PART(member) [](Case& to, const Case& from) { to.member = from.member; }
constexpr Part parts[] = {
    ATTNFUZZ_PART(problem.kind),
    ATTNFUZZ_PART(problem.batch),
    ATTNFUZZ_PART(problem.q_len),
    ATTNFUZZ_PART(problem.kv_len),
    ATTNFUZZ_PART(problem.head_dim),
    ATTNFUZZ_PART(problem.head_dim_v),
    ATTNFUZZ_PART(problem.memory_kv),
    ATTNFUZZ_PART(problem.dtype),
    ATTNFUZZ_PART(problem.layout),
    ATTNFUZZ_PART(problem.strides),
    ATTNFUZZ_PART(problem.scale),
    ATTNFUZZ_PART(problem.softcap),
    ATTNFUZZ_PART(problem.sinks),
    ATTNFUZZ_PART(problem.bias_order),
    ATTNFUZZ_PART(problem.fully_masked),
    ATTNFUZZ_PART(problem.dropout_keep),
    ATTNFUZZ_PART(problem.outputs),
    ATTNFUZZ_PART(problem.mask.align),
    ATTNFUZZ_PART(problem.mask.rules),
    ATTNFUZZ_PART(data.seed),
    ATTNFUZZ_PART(data.dist),
    ATTNFUZZ_PART(data.nonfinite),
    ATTNFUZZ_PART(cache),
    [](Case& to, const Case& from) {
      to.problem.num_heads = from.problem.num_heads;
      to.problem.num_kv_heads = from.problem.num_kv_heads;
      to.problem.head_map = from.problem.head_map;
    },
    [](Case& to, const Case& from) {
      to.problem.rope = from.problem.rope;
      to.problem.rope_base = from.problem.rope_base;
      to.problem.rope_dim = from.problem.rope_dim;
      to.problem.rope_part = from.problem.rope_part;
      to.problem.rope_scaling = from.problem.rope_scaling;
      to.problem.rope_positions = from.problem.rope_positions;
    },
    [](Case& to, const Case& from) {
      to.problem.q_len = from.problem.q_len;
      to.problem.kv_len = from.problem.kv_len;
      to.cache = from.cache;
      to.steps = from.steps;
    },
    [](Case& to, const Case& from) {  // its steps behind ours
      if (to.cached() && from.cached())
        for (Step step : from.steps) {
          if (step.op == StepOp::prefill && !to.steps.empty()) step.op = StepOp::append;
          to.steps.push_back(std::move(step));
        }
    },
    [](Case& to, const Case& from) {  // a rule more
      for (const RuleUse& use : from.problem.mask.rules)
        if (to.problem.mask.find(use.spec->name) == nullptr) {
          to.problem.mask.rules.push_back(use);
          break;
        }
      std::sort(to.problem.mask.rules.begin(), to.problem.mask.rules.end(),
                [](const RuleUse& a, const RuleUse& b) {
                  const auto place = [](const RuleUse& use) {
                    const auto table = rule_table();
                    return std::find(table.begin(), table.end(), use.spec);
                  };
                  return place(a) < place(b);
                });
    },
};
#undef ATTNFUZZ_PART

/// As long as `count`, each in [0, most]; a list that is absent stays so.
void fit(std::vector<int64_t>& list, int64_t count, int64_t most) {
  if (list.empty()) return;
  const int64_t last = list.back();
  list.resize(static_cast<size_t>(std::max<int64_t>(count, 0)), last);
  for (int64_t& value : list) value = std::clamp<int64_t>(value, 0, std::max<int64_t>(most, 0));
}

/// Positive numbers that sum to `sum`.
void fit_sum(std::vector<int64_t>& list, int64_t sum) {
  for (int64_t& value : list) {
    value = std::clamp<int64_t>(value, 0, sum);
    sum -= value;
  }
  if (sum > 0) list.push_back(sum);
  std::erase(list, 0);
}

/// `count` numbers of at least 0 that sum to `sum`.
void fit_lens(std::vector<int64_t>& list, size_t count, int64_t sum) {
  list.resize(std::max<size_t>(count, sum > 0 ? 1 : 0), 0);
  const int64_t left = cut_lens(list, sum);
  if (!list.empty()) list.back() += left;
}

/// At most `most` nodes, each below an earlier one or below none.
void fit_parents(std::vector<int64_t>& list, int64_t most) {
  list.resize(std::min(list.size(), static_cast<size_t>(std::max<int64_t>(most, 0))));
  for (size_t n = 0; n < list.size(); ++n)
    list[n] = std::clamp<int64_t>(list[n], -1, static_cast<int64_t>(n) - 1);
}

/// Makes lists fit sizes that have changed.
void refit(Case& c) {
  const Problem& p = c.problem;
  const int64_t most = c.cached() ? std::numeric_limits<int32_t>::max() : p.kv_len;
  for (RuleUse& use : c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k)
      if (auto* list = std::get_if<std::vector<int64_t>>(&use.values[k])) {
        const RuleParam::Kind kind = use.spec->params[k].kind;
        if (kind == RuleParam::Kind::lengths) fit_sum(*list, p.kv_len);
        if (kind == RuleParam::Kind::parents) fit_parents(*list, p.kv_len);
        if (kind == RuleParam::Kind::per_batch) fit(*list, p.batch, most);
        if (kind == RuleParam::Kind::q_lens) fit_lens(*list, list->size(), p.q_len);
        if (kind == RuleParam::Kind::kv_lens) fit_lens(*list, use.list(k - 1).size(), p.kv_len);
      }
  constexpr int64_t most_positions = 1 << 16;
  if (!p.rope_positions.empty())
    c.problem.rope_positions.resize(
        static_cast<size_t>(std::clamp<int64_t>(p.kv_len, 0, most_positions)), 0);
  for (Step& step : c.steps) {
    fit(step.lens, p.batch, step.keys());
    fit(step.rows, p.batch, p.batch - 1);
    step.from = std::clamp<int64_t>(step.from, 0, std::max<int64_t>(0, p.batch - 1));
    step.to = std::clamp<int64_t>(step.to, 0, std::max<int64_t>(0, p.batch - 1));
  }
}

/// All numbers of a case that count something.
std::vector<int64_t*> numbers(Case& c) {
  std::vector<int64_t*> all;
  for (const ProblemSize& size : problem_sizes()) all.push_back(&(c.problem.*size.member));
  if (c.problem.rope_scaling.has_original_len())
    all.push_back(&c.problem.rope_scaling.original_len);
  for (int64_t& position : c.problem.rope_positions) all.push_back(&position);
  if (c.problem.has_dropout()) all.push_back(&c.problem.dropout_keep);
  for (RuleUse& use : c.problem.mask.rules)
    for (ParamValue& value : use.values) {
      if (auto* number = std::get_if<int64_t>(&value))
        all.push_back(number);
      else
        for (int64_t& entry : std::get<std::vector<int64_t>>(value)) all.push_back(&entry);
    }
  if (c.cached())
    for (int64_t Cache::*member : {&Cache::capacity, &Cache::page_size, &Cache::keep})
      all.push_back(&((*c.cache).*member));
  for (Step& step : c.steps) {
    for (int64_t Step::*member :
         {&Step::q_len, &Step::length, &Step::from, &Step::to, &Step::start, &Step::count})
      all.push_back(&(step.*member));
    if (step.kv_len) all.push_back(&*step.kv_len);
    for (int64_t& entry : step.lens) all.push_back(&entry);
    for (int64_t& entry : step.rows) all.push_back(&entry);
  }
  return all;
}

/// Moves one number: a little, to half or double, or to the edge of another one.
void nudge(Case& c, Draw& draw) {
  const std::vector<int64_t*> all = numbers(c);
  int64_t& number = *draw.pick(std::span<int64_t* const>(all));
  const int64_t other = *draw.pick(std::span<int64_t* const>(all));
  const int64_t choices[] = {number - 1, number + 1, number * 2, number / 2, other,
                             other - 1,  other + 1,  1,          0};
  number = std::max<int64_t>(0, draw.pick(std::span<const int64_t>(choices)));
}

void reduce(Case& c, Draw& draw) {
  const std::vector<Reduction> all = reductions(c);
  if (!all.empty()) c = draw.pick(std::span<const Reduction>(all)).c;
}

void take_parts(Case& to, const Case& from, int percent, Draw& draw) {
  for (const Part part : parts)
    if (draw.chance(percent)) part(to, from);
}

}  // namespace

std::vector<Case> with_numbers_moved(const Case& c) {
  std::vector<Case> all;
  Case changed = c;
  const auto move = [&](std::initializer_list<size_t> which, int64_t more, int64_t times) {
    changed = c;
    const std::vector<int64_t*> of = numbers(changed);
    for (const size_t n : which) *of[n] = std::max<int64_t>(0, *of[n] * times + more);
    refit(changed);
    if (!(changed == c) && is_valid(changed)) all.push_back(changed);
  };
  const std::vector<int64_t*> of = numbers(changed);
  std::vector<int64_t> values;
  for (const int64_t* number : of) values.push_back(*number);
  for (size_t a = 0; a < values.size(); ++a) {
    for (const auto& [more, times] : {std::pair{1, 1}, {5, 1}, {-1, 1}, {0, 2}})
      move({a}, more, times);
    // A size at whose edge something happens stands next to what sets the edge.
    for (size_t b = a + 1; b < values.size(); ++b)
      if (std::min(values[a], values[b]) > 1 && std::abs(values[a] - values[b]) <= 1)
        for (const auto& [more, times] : {std::pair{2, 1}, {7, 1}, {0, 2}})
          move({a, b}, more, times);
  }
  return all;
}

Mutator::Mutator(const Capabilities& capabilities)
    : capabilities_(capabilities),
      generator_(capabilities),
      goals_(goals_of(generator_.claims())) {}

/// None where the claims let none be found.
std::optional<Case> Mutator::new_case(Draw& draw) const {
  if (goals_.empty() || !draw.chance(percent_aimed)) return generator_.attempt(draw);
  std::optional<Case> c =
      generator_.attempt(draw, aim_at(draw.pick(std::span<const Goal>(goals_)), most_work));
  return c && work(*c) <= most_work ? c : generator_.attempt(draw);
}

/// Asks in this order: the work and the claims are told of a valid case alone.
bool Mutator::inside(const Case& c, double most) const {
  return is_valid(c) && work(c) <= most && capabilities_.rejection_reason(c).empty();
}

Case Mutator::mutate(const Case& c, Draw& draw) const {
  for (int k = 0; k < tries; ++k) {
    Case changed = c;
    const int64_t what = draw.between(0, 9);
    const std::optional<Case> other = what > 3 ? new_case(draw) : std::nullopt;
    if (what == 0)
      reduce(changed, draw);
    else if (what <= 3)
      for (int64_t count = draw.between(1, 3); count > 0; --count) nudge(changed, draw);
    else if (!other)
      continue;
    else if (what <= 6)
      take_parts(changed, *other, 8, draw);
    else
      changed = *other;
    refit(changed);
    if (!(changed == c) && inside(changed, most_work)) return changed;
  }
  return generator_.attempt(draw).value_or(c);
}

Case Mutator::cross(const Case& a, const Case& b, Draw& draw) const {
  for (int k = 0; k < tries; ++k) {
    Case child = a;
    take_parts(child, b, 30, draw);
    refit(child);
    if (!(child == a) && !(child == b) && inside(child, most_work)) return child;
  }
  return mutate(a, draw);
}

Case Mutator::decode(std::span<const uint8_t> bytes) const {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with('{')) {
    try {
      Case c = parse_case(text, "input").c;
      if (inside(c)) return c;
    } catch (const InputError&) {  // other bytes, then
    }
  }
  try {
    ByteDraw draw(bytes);
    return generator_(draw);
  } catch (const InputError&) {  // it ran out of bytes on the way to a case inside the claims
    return generator_(*seeded_draw(fnv1a(text), bytes.size()));
  }
}

std::string Mutator::encode(const Case& c) {
  return write_case(c);
}

}  // namespace attnfuzz
