#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "fuzz/plain.h"
#include "fuzz/shrink.h"

namespace attnfuzz {
namespace {

using Kind = RuleParam::Kind;

/// Takes what the table's entries offer and keeps what is a valid case.
class Offers {
 public:
  explicit Offers(std::vector<Reduction>& to) : to_(to) {}

  void add(std::string words, Case c) {
    try {
      check(c);
    } catch (const InputError&) {
      return;  // the reduction does not fit this case
    }
    to_.push_back({std::move(words), std::move(c)});
  }

  /// One for each value that `value` can be lowered to: the least first, then in steps that halve.
  /// Steps are powers of two, so a size that has to stay a multiple of one can still be lowered.
  template <class Set>
  void lower(std::string_view what, const Case& c, int64_t value, int64_t least, const Set& set) {
    std::vector<int64_t> values;
    if (value > least) values = {least, (value + least) / 2};
    for (int64_t step = 1; step < value - least; step *= 2) values.push_back(value - step);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    for (const int64_t lower : values) {
      Case changed = c;
      set(changed, lower);
      add(fmt::format("{} {} → {}", what, value, lower), std::move(changed));
    }
  }

 private:
  std::vector<Reduction>& to_;
};

// What is left of a case -------------------------------------------------------------------------

void cut_lengths(std::vector<int64_t>& lengths, int64_t sum) {
  for (int64_t& length : lengths) {
    length = std::min(length, sum);
    sum -= length;
  }
  std::erase(lengths, 0);
}

/// Lists of the mask's rules, with their parameter.
template <class Do>
void for_each_list(Case& c, const Do& act) {
  for (RuleUse& use : c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k)
      if (auto* list = std::get_if<std::vector<int64_t>>(&use.values[k]))
        act(use.spec->params[k], *list);
}

void set_kv_len(Case& c, int64_t kv_len) {
  c.problem.kv_len = kv_len;
  for_each_list(c, [&](const RuleParam& param, std::vector<int64_t>& list) {
    if (param.kind == Kind::lengths) return cut_lengths(list, kv_len);
    for (int64_t& value : list) value = std::min(value, kv_len);
  });
}

/// The same with the lengths' distance to kv_len kept, so that what is hidden stays hidden.
void set_kv_len_with_padding(Case& c, int64_t kv_len) {
  const int64_t less = c.problem.kv_len - kv_len;
  for_each_list(c, [&](const RuleParam& param, std::vector<int64_t>& list) {
    if (param.kind != Kind::per_batch) return;
    for (int64_t& value : list) value = std::max<int64_t>(0, value - less);
  });
  set_kv_len(c, kv_len);
}

bool is_padded(const Case& c) {
  const RuleUse* padding = c.problem.mask.find("padding");
  return padding != nullptr && std::any_of(padding->list(1).begin(), padding->list(1).end(),
                                           [&](int64_t len) { return len < c.problem.kv_len; });
}

/// Of these rows, a fork's that are gone are the first.
void keep_fork(Step& step, const std::vector<size_t>& rows) {
  for (int64_t Step::*row : {&Step::from, &Step::to}) {
    const auto now = std::find(rows.begin(), rows.end(), static_cast<size_t>(step.*row));
    step.*row = now == rows.end() ? 0 : now - rows.begin();
  }
}

/// These rows of the batch. A reorder that reads a row that is gone reads its own.
void keep_rows(Case& c, const std::vector<size_t>& rows) {
  const auto keep = [&](std::vector<int64_t>& list) {
    if (list.empty()) return;
    std::vector<int64_t> kept(rows.size());
    std::transform(rows.begin(), rows.end(), kept.begin(), [&](size_t row) { return list[row]; });
    list = std::move(kept);
  };
  c.problem.batch = static_cast<int64_t>(rows.size());
  for_each_list(c, [&](const RuleParam& param, std::vector<int64_t>& list) {
    if (param.kind == Kind::per_batch) keep(list);
  });
  for (Step& step : c.steps) {
    keep(step.lens);
    keep(step.rows);
    keep_fork(step, rows);
    for (size_t b = 0; b < step.rows.size(); ++b) {
      const auto now = std::find(rows.begin(), rows.end(), static_cast<size_t>(step.rows[b]));
      step.rows[b] = now == rows.end() ? static_cast<int64_t>(b) : now - rows.begin();
    }
  }
}

void set_step_q_len(Step& step, int64_t q_len) {
  step.q_len = q_len;
  for (int64_t& len : step.lens) len = std::min(len, step.keys());
}

void set_step_kv_len(Step& step, int64_t kv_len) {
  step.kv_len = kv_len;
  for (int64_t& len : step.lens) len = std::min(len, kv_len);
}

// The table's entries -----------------------------------------------------------------------------

/// A cache that is filled once and no more is no cache.
void drop_cache(const Case& c, Offers& offers) {
  if (!c.cached() || c.steps.size() != 1 || !c.steps.front().lens.empty()) return;
  Case plain = c;
  plain.problem.q_len = c.steps.front().q_len;
  plain.problem.kv_len = c.steps.front().keys();
  plain.cache.reset();
  plain.steps.clear();
  offers.add("no cache", std::move(plain));
}

void drop_steps(const Case& c, Offers& offers) {
  const size_t count = c.steps.size();
  for (size_t block = count / 2; block > 0; block /= 2)
    for (size_t first = 0; first + block <= count; ++first) {
      Case fewer = c;
      const auto begin = fewer.steps.begin() + static_cast<ptrdiff_t>(first);
      fewer.steps.erase(begin, begin + static_cast<ptrdiff_t>(block));
      // Without the prefill the step behind it becomes one.
      const bool had_prefill =
          std::any_of(c.steps.begin() + static_cast<ptrdiff_t>(first),
                      c.steps.begin() + static_cast<ptrdiff_t>(first + block),
                      [](const Step& step) { return step.op == StepOp::prefill; });
      if (had_prefill && first < fewer.steps.size() && fewer.steps[first].has_tokens())
        fewer.steps[first].op = StepOp::prefill;
      offers.add(fmt::format("{} of {} steps less, from step {}", block, count, first),
                 std::move(fewer));
    }
}

/// Two steps of new tokens become one with the tokens of both.
void merge_steps(const Case& c, Offers& offers) {
  for (size_t s = 0; s + 1 < c.steps.size(); ++s) {
    const Step &a = c.steps[s], &b = c.steps[s + 1];
    if (!a.has_tokens() || !b.has_tokens() || !a.lens.empty() || !b.lens.empty()) continue;
    Case merged = c;
    Step& both = merged.steps[s];
    if (both.op == StepOp::decode) both.op = StepOp::append;
    both.q_len += b.q_len;
    if (b.kv_len) *both.kv_len += *b.kv_len;
    merged.steps.erase(merged.steps.begin() + static_cast<ptrdiff_t>(s) + 1);
    offers.add(fmt::format("steps {} and {} in one", s, s + 1), std::move(merged));
  }
}

void drop_rules(const Case& c, Offers& offers) {
  for (size_t k = 0; k < c.problem.mask.rules.size(); ++k) {
    Case fewer = c;
    std::vector<RuleUse>& rules = fewer.problem.mask.rules;
    rules.erase(rules.begin() + static_cast<ptrdiff_t>(k));
    offers.add(fmt::format("no {}", c.problem.mask.rules[k].spec->name), std::move(fewer));
  }
}

void plain_options_of(const Case& c, Offers& offers) {
  for (const PlainOption& option : plain_options()) {
    if (option.is_plain(c)) continue;
    Case plain = c;
    option.make_plain(plain);
    offers.add(std::string(option.words), std::move(plain));
  }
}

/// A kind with less to it.
void simpler_kind(const Case& c, Offers& offers) {
  for (size_t kind = 1; kind < static_cast<size_t>(c.problem.kind); ++kind) {
    Case simpler = c;
    simpler.problem.kind = static_cast<ProblemKind>(kind);
    offers.add(fmt::format("kind {}", names_of<ProblemKind>[kind]), std::move(simpler));
  }
}

/// `out` alone is one of the plain options.
void drop_outputs(const Case& c, Offers& offers) {
  for (size_t k = 1; k < c.problem.outputs.size(); ++k) {
    Case fewer = c;
    fewer.problem.outputs.erase(fewer.problem.outputs.begin() + static_cast<ptrdiff_t>(k));
    offers.add(fmt::format("no {}", name(c.problem.outputs[k])), std::move(fewer));
  }
}

/// One row alone, either half, all but one.
void drop_rows(const Case& c, Offers& offers) {
  const auto batch = static_cast<size_t>(c.problem.batch);
  if (batch < 2) return;
  const auto keep = [&](const std::vector<size_t>& rows) {
    Case fewer = c;
    keep_rows(fewer, rows);
    offers.add(fmt::format("batch {} → rows {}", batch, fmt::join(rows, ", ")), std::move(fewer));
  };
  std::vector<size_t> all(batch);
  std::iota(all.begin(), all.end(), size_t{0});
  for (const size_t row : all) keep({row});
  const auto middle = all.begin() + static_cast<ptrdiff_t>(batch / 2);
  keep({all.begin(), middle});
  keep({middle, all.end()});
  for (const size_t row : all) {
    std::vector<size_t> others = all;
    others.erase(others.begin() + static_cast<ptrdiff_t>(row));
    keep(others);
  }
}

/// The number of heads, with the same key heads or with the same group.
void lower_heads(const Case& c, Offers& offers) {
  const Problem& p = c.problem;
  if (p.num_kv_heads == 0) return;
  const int64_t group = p.num_heads / p.num_kv_heads;
  offers.lower("num_kv_heads", c, p.num_kv_heads, 1, [&](Case& to, int64_t value) {
    to.problem.num_kv_heads = value;
    to.problem.num_heads = value * group;
  });
  offers.lower("heads per key head", c, group, 1,
               [&](Case& to, int64_t value) { to.problem.num_heads = p.num_kv_heads * value; });
}

void lower_lengths(const Case& c, Offers& offers) {
  const Problem& p = c.problem;
  if (c.cached()) return;
  // Both, in step: first to equal ones, then with the difference that they have.
  const int64_t shorter = std::min(p.q_len, p.kv_len);
  if (shorter < std::max(p.q_len, p.kv_len)) {
    Case equal = c;
    equal.problem.q_len = shorter;
    set_kv_len(equal, shorter);
    offers.add(fmt::format("q_len = kv_len = {}", shorter), std::move(equal));
  }
  offers.lower("the shorter of q_len and kv_len", c, shorter, 1, [&](Case& to, int64_t value) {
    to.problem.q_len = p.q_len - (shorter - value);
    set_kv_len(to, p.kv_len - (shorter - value));
  });
  offers.lower("q_len", c, p.q_len, 1, [](Case& to, int64_t value) { to.problem.q_len = value; });
  offers.lower("kv_len", c, p.kv_len, 1, set_kv_len);
  if (!is_padded(c)) return;
  offers.lower("q_len and kv_len, padding kept,", c, shorter, 1, [&](Case& to, int64_t value) {
    to.problem.q_len = p.q_len - (shorter - value);
    set_kv_len_with_padding(to, p.kv_len - (shorter - value));
  });
  offers.lower("kv_len, padding kept,", c, p.kv_len, 1, set_kv_len_with_padding);
}

void lower_dims(const Case& c, Offers& offers) {
  const Problem& p = c.problem;
  const int64_t smaller = std::min(p.head_dim, p.head_dim_v);
  if (p.head_dim != p.head_dim_v) {
    Case equal = c;
    equal.problem.head_dim = equal.problem.head_dim_v = smaller;
    offers.add(fmt::format("head_dim = head_dim_v = {}", smaller), std::move(equal));
  }
  offers.lower("the smaller of head_dim and head_dim_v", c, smaller, 1,
               [&](Case& to, int64_t value) {
                 to.problem.head_dim = p.head_dim - (smaller - value);
                 to.problem.head_dim_v = p.head_dim_v - (smaller - value);
               });
  offers.lower("head_dim", c, p.head_dim, 1,
               [](Case& to, int64_t value) { to.problem.head_dim = value; });
  offers.lower("head_dim_v", c, p.head_dim_v, 1,
               [](Case& to, int64_t value) { to.problem.head_dim_v = value; });
}

void lower_memory(const Case& c, Offers& offers) {
  offers.lower("memory_kv", c, c.problem.memory_kv, 0,
               [](Case& to, int64_t value) { to.problem.memory_kv = value; });
}

void simpler_cache(const Case& c, Offers& offers) {
  if (!c.cached()) return;
  for (size_t kind = 0; kind < static_cast<size_t>(c.cache->kind); ++kind) {
    Case simpler = c;
    simpler.cache->kind = static_cast<CacheKind>(kind);
    simpler.cache->page_size = simpler.cache->keep = 0;
    if (simpler.cache->kind == CacheKind::dynamic) simpler.cache->capacity = 0;
    offers.add(fmt::format("{} cache", names_of<CacheKind>[kind]), std::move(simpler));
  }
  offers.lower("capacity", c, c.cache->capacity, 1,
               [](Case& to, int64_t value) { to.cache->capacity = value; });
  offers.lower("page_size", c, c.cache->page_size, 1,
               [](Case& to, int64_t value) { to.cache->page_size = value; });
  offers.lower("keep", c, c.cache->keep, 1,
               [](Case& to, int64_t value) { to.cache->keep = value; });
}

void simpler_steps(const Case& c, Offers& offers) {
  for (size_t s = 0; s < c.steps.size(); ++s) {
    const Step& step = c.steps[s];
    const std::string at = fmt::format("step {}: ", s);
    offers.lower(at + "q_len", c, step.q_len, 1,
                 [s](Case& to, int64_t value) { set_step_q_len(to.steps[s], value); });
    offers.lower(at + "kv_len", c, step.kv_len.value_or(0), 1,
                 [s](Case& to, int64_t value) { set_step_kv_len(to.steps[s], value); });
    offers.lower(at + "length", c, step.length, 0,
                 [s](Case& to, int64_t value) { to.steps[s].length = value; });
    offers.lower(at + "start", c, step.start, 0,
                 [s](Case& to, int64_t value) { to.steps[s].start = value; });
    offers.lower(at + "count", c, step.count, 1,
                 [s](Case& to, int64_t value) { to.steps[s].count = value; });
    if (!step.lens.empty()) {
      Case even = c;
      even.steps[s].lens.clear();
      even.steps[s].side = Side::right;
      offers.add(at + "not ragged", std::move(even));
    }
    if (step.side != Side::right) {
      Case right = c;
      right.steps[s].side = Side::right;
      offers.add(at + "padded on the right", std::move(right));
    }
    for (size_t b = 0; b < step.lens.size(); ++b)
      offers.lower(
          fmt::format("{}tokens missing in row {}", at, b), c, step.keys() - step.lens[b], 0,
          [&, s, b](Case& to, int64_t value) { to.steps[s].lens[b] = step.keys() - value; });
    for (size_t b = 0; b < step.rows.size(); ++b) {
      if (step.rows[b] == static_cast<int64_t>(b)) continue;
      Case own = c;
      own.steps[s].rows[b] = static_cast<int64_t>(b);
      offers.add(fmt::format("{}row {} stays", at, b), std::move(own));
    }
  }
}

/// An integer or the index of a choice goes down.
void lower_number(const Case& c, size_t rule, size_t k, Offers& offers) {
  const RuleUse& use = c.problem.mask.rules[rule];
  const RuleParam& param = use.spec->params[k];
  offers.lower(fmt::format("{}.{}", use.spec->name, param.name), c, use.integer(k),
               param.kind == Kind::choice ? 0 : param.min,
               [=](Case& to, int64_t value) { to.problem.mask.rules[rule].values[k] = value; });
}

/// Where a list of row lengths is plainest: all that there is, over a cache the least.
int64_t plainest_length(const Case& c, const RuleParam& param) {
  return c.cached() ? param.min : c.problem.kv_len;
}

void plainer_rows(const Case& c, size_t rule, size_t k, Offers& offers) {
  const RuleUse& use = c.problem.mask.rules[rule];
  const int64_t plainest = plainest_length(c, use.spec->params[k]);
  const int64_t sign = c.cached() ? 1 : -1;
  for (size_t b = 0; b < use.list(k).size(); ++b)
    offers.lower(fmt::format("{}.{}[{}], distance to {}:", use.spec->name, use.spec->params[k].name,
                             b, plainest),
                 c, std::abs(use.list(k)[b] - plainest), 0, [=](Case& to, int64_t value) {
                   std::get<std::vector<int64_t>>(to.problem.mask.rules[rule].values[k])[b] =
                       plainest + sign * value;
                 });
}

void merge_lengths(const Case& c, size_t rule, size_t k, Offers& offers) {
  const RuleUse& use = c.problem.mask.rules[rule];
  for (size_t n = 0; n + 1 < use.list(k).size(); ++n) {
    Case merged = c;
    auto& list = std::get<std::vector<int64_t>>(merged.problem.mask.rules[rule].values[k]);
    list[n] += list[n + 1];
    list.erase(list.begin() + static_cast<ptrdiff_t>(n) + 1);
    offers.add(
        fmt::format("{}.{}: {} and {} in one", use.spec->name, use.spec->params[k].name, n, n + 1),
        std::move(merged));
  }
}

void simpler_rules(const Case& c, Offers& offers) {
  using Entry = void (*)(const Case&, size_t, size_t, Offers&);
  static constexpr Entry by_kind[] = {lower_number, lower_number, plainer_rows, merge_lengths};
  const std::vector<RuleUse>& rules = c.problem.mask.rules;
  for (size_t rule = 0; rule < rules.size(); ++rule)
    for (size_t k = 0; k < rules[rule].values.size(); ++k)
      by_kind[static_cast<size_t>(rules[rule].spec->params[k].kind)](c, rule, k, offers);
}

/// One line each, biggest steps first.
constexpr void (*const table[])(const Case&, Offers&) = {
    drop_cache,   drop_steps,   merge_steps,   drop_rules,    plain_options_of,
    simpler_kind, drop_outputs, drop_rows,     lower_heads,   lower_lengths,
    lower_dims,   lower_memory, simpler_cache, simpler_steps, simpler_rules};

// Weight ------------------------------------------------------------------------------------------

constexpr uint64_t of_cache = uint64_t{1} << 40, of_item = 256, of_entry = 8;

uint64_t sum(const std::vector<int64_t>& values) {
  return static_cast<uint64_t>(std::accumulate(values.begin(), values.end(), int64_t{0}));
}

uint64_t weight_of(const Case& c, const RuleParam& param, const ParamValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value))
    return static_cast<uint64_t>(*number - (param.kind == Kind::choice ? 0 : param.min));
  const auto& list = std::get<std::vector<int64_t>>(value);
  if (param.kind == Kind::lengths) return of_entry * list.size();
  uint64_t total = 0;
  for (const int64_t length : list)
    total += static_cast<uint64_t>(std::abs(length - plainest_length(c, param)));
  return total;
}

uint64_t weight_of(const Step& step) {
  uint64_t total = of_item +
                   static_cast<uint64_t>(step.q_len + step.kv_len.value_or(0) + step.length +
                                         step.start + step.count) +
                   (step.side == Side::right ? 0 : of_entry) +
                   (step.op == StepOp::fork ? 2 * of_entry : 0);
  if (!step.lens.empty())
    total += of_entry + static_cast<uint64_t>(step.keys()) * step.lens.size() - sum(step.lens);
  for (size_t b = 0; b < step.rows.size(); ++b)
    total += step.rows[b] == static_cast<int64_t>(b) ? 0 : of_entry;
  return total;
}

}  // namespace

Case with_rows(Case c, const std::vector<size_t>& rows) {
  keep_rows(c, rows);
  return c;
}

std::vector<Reduction> reductions(const Case& c) {
  std::vector<Reduction> all;
  Offers offers(all);
  for (const auto entry : table) entry(c, offers);
  return all;
}

uint64_t weight(const Case& c) {
  auto total = static_cast<uint64_t>(c.problem.kind);
  for (const ProblemSize& size : problem_sizes())
    total += static_cast<uint64_t>(c.problem.*size.member);
  for (const PlainOption& option : plain_options())
    if (!option.is_plain(c)) total += option.weight;
  for (const RuleUse& use : c.problem.mask.rules) {
    total += of_item;
    for (size_t k = 0; k < use.values.size(); ++k)
      total += weight_of(c, use.spec->params[k], use.values[k]);
  }
  total += of_entry * (c.problem.outputs.size() - 1);
  if (c.cached())
    total += of_cache + of_item * static_cast<uint64_t>(c.cache->kind) +
             static_cast<uint64_t>(c.cache->capacity + c.cache->page_size + c.cache->keep);
  for (const Step& step : c.steps) total += weight_of(step);
  return total;
}

}  // namespace attnfuzz
