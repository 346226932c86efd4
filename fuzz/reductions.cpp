#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "fuzz/candidates.h"
#include "fuzz/cut_lens.h"
#include "fuzz/given_parts.h"
#include "fuzz/plain.h"

namespace attnfuzz {
namespace {

using Kind = RuleParam::Kind;

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

void set_q_len(Case& c, int64_t q_len) {
  c.problem.q_len = q_len;
  for_each_list(c, [&](const RuleParam& param, std::vector<int64_t>& list) {
    if (param.kind == Kind::q_lens) cut_lens(list, q_len);
  });
}

void set_kv_len(Case& c, int64_t kv_len) {
  c.problem.kv_len = kv_len;
  if (!c.problem.rope_positions.empty())
    c.problem.rope_positions.resize(static_cast<size_t>(kv_len));
  for_each_list(c, [&](const RuleParam& param, std::vector<int64_t>& list) {
    if (param.kind == Kind::lengths) cut_lengths(list, kv_len);
    if (param.kind == Kind::kv_lens) cut_lens(list, kv_len);
    if (param.kind == Kind::parents)
      list.resize(std::min(list.size(), static_cast<size_t>(kv_len)));
    if (param.kind != Kind::per_batch) return;
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
  c.data = with_places(c.problem, std::move(c.data), CaseAxis::batch, {rows.begin(), rows.end()});
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

// The table's entries -----------------------------------------------------------------------------

void drop_rules(const Case& c, Candidates& candidates) {
  for (size_t k = 0; k < c.problem.mask.rules.size(); ++k) {
    Case fewer = c;
    std::vector<RuleUse>& rules = fewer.problem.mask.rules;
    rules.erase(rules.begin() + static_cast<ptrdiff_t>(k));
    candidates.add(fmt::format("no {}", c.problem.mask.rules[k].spec->name), std::move(fewer));
  }
}

void plain_options_of(const Case& c, Candidates& candidates) {
  for (const PlainOption& option : plain_options()) {
    if (option.is_plain(c)) continue;
    Case plain = c;
    option.make_plain(plain);
    candidates.add(std::string(option.words), std::move(plain));
  }
}

/// A kind with less to it.
void simpler_kind(const Case& c, Candidates& candidates) {
  for (size_t kind = 1; kind < static_cast<size_t>(c.problem.kind); ++kind) {
    Case simpler = c;
    simpler.problem.kind = static_cast<ProblemKind>(kind);
    candidates.add(fmt::format("kind {}", names_of<ProblemKind>[kind]), std::move(simpler));
  }
}

/// One beside `out`, then all but one. `out` alone is one of the plain options.
void drop_outputs(const Case& c, Candidates& candidates) {
  const std::vector<Output>& outputs = c.problem.outputs;
  for (size_t k = 1; k < outputs.size() && outputs.size() > 2; ++k) {
    Case one = c;
    one.problem.outputs = {outputs[0], outputs[k]};
    candidates.add(fmt::format("{} beside out", name(outputs[k])), std::move(one));
  }
  for (size_t k = 1; k < outputs.size(); ++k) {
    Case fewer = c;
    fewer.problem.outputs.erase(fewer.problem.outputs.begin() + static_cast<ptrdiff_t>(k));
    candidates.add(fmt::format("no {}", name(outputs[k])), std::move(fewer));
  }
}

/// One row alone, either half, all but one.
void drop_rows(const Case& c, Candidates& candidates) {
  const auto batch = static_cast<size_t>(c.problem.batch);
  if (batch < 2) return;
  const auto keep = [&](const std::vector<size_t>& rows) {
    Case fewer = c;
    keep_rows(fewer, rows);
    candidates.add(fmt::format("batch {} → rows {}", batch, fmt::join(rows, ", ")),
                   std::move(fewer));
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

/// The number of heads, with the same KV heads or with the same group.
void lower_heads(const Case& c, Candidates& candidates) {
  const Problem& p = c.problem;
  if (p.num_kv_heads == 0) return;
  const int64_t group = p.num_heads / p.num_kv_heads;
  candidates.lower("num_kv_heads", c, p.num_kv_heads, 1, [&](Case& to, int64_t value) {
    to.problem.num_kv_heads = value;
    to.problem.num_heads = value * group;
  });
  candidates.lower("heads per KV head", c, group, 1,
                   [&](Case& to, int64_t value) { to.problem.num_heads = p.num_kv_heads * value; });
}

void lower_lengths(const Case& c, Candidates& candidates) {
  const Problem& p = c.problem;
  if (c.cached()) return;
  // Both, in step: first to equal ones, then with the difference that they have.
  const int64_t shorter = std::min(p.q_len, p.kv_len);
  if (shorter < std::max(p.q_len, p.kv_len)) {
    Case equal = c;
    set_q_len(equal, shorter);
    set_kv_len(equal, shorter);
    candidates.add(fmt::format("q_len = kv_len = {}", shorter), std::move(equal));
  }
  candidates.lower("the shorter of q_len and kv_len", c, shorter, 1, [&](Case& to, int64_t value) {
    set_q_len(to, p.q_len - (shorter - value));
    set_kv_len(to, p.kv_len - (shorter - value));
  });
  candidates.lower("q_len", c, p.q_len, 1, set_q_len);
  candidates.lower("kv_len", c, p.kv_len, 1, set_kv_len);
  if (!is_padded(c)) return;
  candidates.lower("q_len and kv_len, padding kept,", c, shorter, 1, [&](Case& to, int64_t value) {
    set_q_len(to, p.q_len - (shorter - value));
    set_kv_len_with_padding(to, p.kv_len - (shorter - value));
  });
  candidates.lower("kv_len, padding kept,", c, p.kv_len, 1, set_kv_len_with_padding);
}

void lower_dims(const Case& c, Candidates& candidates) {
  const Problem& p = c.problem;
  const int64_t smaller = std::min(p.head_dim, p.head_dim_v);
  if (p.head_dim != p.head_dim_v) {
    Case equal = c;
    equal.problem.head_dim = equal.problem.head_dim_v = smaller;
    candidates.add(fmt::format("head_dim = head_dim_v = {}", smaller), std::move(equal));
  }
  candidates.lower("the smaller of head_dim and head_dim_v", c, smaller, 1,
                   [&](Case& to, int64_t value) {
                     to.problem.head_dim = p.head_dim - (smaller - value);
                     to.problem.head_dim_v = p.head_dim_v - (smaller - value);
                   });
  candidates.lower("head_dim", c, p.head_dim, 1,
                   [](Case& to, int64_t value) { to.problem.head_dim = value; });
  candidates.lower("head_dim_v", c, p.head_dim_v, 1,
                   [](Case& to, int64_t value) { to.problem.head_dim_v = value; });
}

void lower_rope(const Case& c, Candidates& candidates) {
  candidates.lower("half of rope_dim", c, c.problem.rope_dim / 2, 1,
                   [](Case& to, int64_t value) { to.problem.rope_dim = 2 * value; });
  if (!c.problem.rope_scaling.has_original_len()) return;
  candidates.lower("rope's original_len", c, c.problem.rope_scaling.original_len, 1,
                   [](Case& to, int64_t value) { to.problem.rope_scaling.original_len = value; });
}

void lower_memory(const Case& c, Candidates& candidates) {
  candidates.lower("memory_kv", c, c.problem.memory_kv, 0,
                   [](Case& to, int64_t value) { to.problem.memory_kv = value; });
}

/// An integer or the index of a choice goes down.
void lower_number(const Case& c, size_t rule, size_t k, Candidates& candidates) {
  const RuleUse& use = c.problem.mask.rules[rule];
  const RuleParam& param = use.spec->params[k];
  candidates.lower(fmt::format("{}.{}", use.spec->name, param.name), c, use.integer(k),
                   param.kind == Kind::choice ? 0 : param.min,
                   [=](Case& to, int64_t value) { to.problem.mask.rules[rule].values[k] = value; });
}

void plainer_rows(const Case& c, size_t rule, size_t k, Candidates& candidates) {
  const RuleUse& use = c.problem.mask.rules[rule];
  const int64_t plainest = plainest_length(c, use.spec->params[k]);
  const int64_t sign = c.cached() ? 1 : -1;
  for (size_t b = 0; b < use.list(k).size(); ++b)
    candidates.lower(fmt::format("{}.{}[{}], distance to {}:", use.spec->name,
                                 use.spec->params[k].name, b, plainest),
                     c, std::abs(use.list(k)[b] - plainest), 0, [=](Case& to, int64_t value) {
                       std::get<std::vector<int64_t>>(to.problem.mask.rules[rule].values[k])[b] =
                           plainest + sign * value;
                     });
}

void merge_lengths(const Case& c, size_t rule, size_t k, Candidates& candidates) {
  const RuleUse& use = c.problem.mask.rules[rule];
  for (size_t n = 0; n + 1 < use.list(k).size(); ++n) {
    Case merged = c;
    auto& list = std::get<std::vector<int64_t>>(merged.problem.mask.rules[rule].values[k]);
    list[n] += list[n + 1];
    list.erase(list.begin() + static_cast<ptrdiff_t>(n) + 1);
    candidates.add(
        fmt::format("{}.{}: {} and {} in one", use.spec->name, use.spec->params[k].name, n, n + 1),
        std::move(merged));
  }
}

/// Fewer nodes, and each the child of the one before it.
void simpler_tree(const Case& c, size_t rule, size_t k, Candidates& candidates) {
  const RuleUse& use = c.problem.mask.rules[rule];
  const std::string name = fmt::format("{}.{}", use.spec->name, use.spec->params[k].name);
  const auto list_of = [=](Case& to) -> std::vector<int64_t>& {
    return std::get<std::vector<int64_t>>(to.problem.mask.rules[rule].values[k]);
  };
  const std::vector<int64_t>& parents = use.list(k);
  candidates.lower(
      name + ", nodes:", c, static_cast<int64_t>(parents.size()), 0,
      [=](Case& to, int64_t value) { list_of(to).resize(static_cast<size_t>(value)); });
  candidates.lower(name + ", nodes with their keys:", c, static_cast<int64_t>(parents.size()), 0,
                   [=](Case& to, int64_t value) {
                     const auto count = static_cast<int64_t>(list_of(to).size());
                     list_of(to).resize(static_cast<size_t>(value));
                     set_kv_len(to, to.problem.kv_len - (count - value));
                   });
  for (size_t n = 0; n < parents.size(); ++n) {
    if (parents[n] == static_cast<int64_t>(n) - 1) continue;
    Case chained = c;
    list_of(chained)[n] = static_cast<int64_t>(n) - 1;
    candidates.add(fmt::format("{}: node {} below {}", name, n, static_cast<int64_t>(n) - 1),
                   std::move(chained));
  }
}

/// The lists of the rule that holds a case's sequences.
std::vector<int64_t>& lens_of(Case& c, size_t rule, size_t k) {
  return std::get<std::vector<int64_t>>(c.problem.mask.rules[rule].values[k]);
}

/// Tells what the entries change: the tokens of the axes follow the lists.
void add_packed(Case c, size_t rule, std::string words, Candidates& candidates) {
  const auto sum = [&](size_t k) {
    const std::vector<int64_t>& lens = lens_of(c, rule, k);
    return std::accumulate(lens.begin(), lens.end(), int64_t{0});
  };
  c.problem.q_len = sum(0);
  set_kv_len(c, sum(1));
  candidates.add("packed: " + std::move(words), std::move(c));
}

/// A sequence less, alone, two in one, or shorter.
void simpler_sequences(const Case& c, size_t rule, Candidates& candidates) {
  const size_t count = c.problem.mask.rules[rule].list(0).size();
  const auto edited = [&](std::string words, const auto& edit) {
    Case simpler = c;
    for (const size_t k : {size_t{0}, size_t{1}}) edit(lens_of(simpler, rule, k));
    add_packed(std::move(simpler), rule, std::move(words), candidates);
  };
  using Lens = std::vector<int64_t>;
  const auto at = [](Lens& lens, size_t n) { return lens.begin() + static_cast<ptrdiff_t>(n); };
  for (size_t n = 0; n < count && count > 1; ++n)
    edited(fmt::format("sequence {} alone", n), [&](Lens& lens) { lens = {lens[n]}; });
  for (size_t n = 0; n < count && count > 1; ++n)
    edited(fmt::format("no sequence {}", n), [&](Lens& lens) { lens.erase(at(lens, n)); });
  for (size_t n = 0; n + 1 < count; ++n)
    edited(fmt::format("{} and {} in one", n, n + 1), [&](Lens& lens) {
      lens[n] += lens[n + 1];
      lens.erase(at(lens, n + 1));
    });
}

/// Fewer queries or keys in one sequence.
void shorter_sequences(const Case& c, size_t rule, size_t k, Candidates& candidates) {
  const std::vector<int64_t>& lens = c.problem.mask.rules[rule].list(k);
  for (size_t n = 0; n < lens.size(); ++n)
    for (const int64_t len : {int64_t{0}, int64_t{1}, lens[n] / 2, lens[n] - 1}) {
      if (len < 0 || len >= lens[n]) continue;
      Case shorter = c;
      lens_of(shorter, rule, k)[n] = len;
      add_packed(std::move(shorter), rule,
                 fmt::format("{}[{}] {} → {}", k == 0 ? "q_lens" : "kv_lens", n, lens[n], len),
                 candidates);
    }
}

void simpler_q_lens(const Case& c, size_t rule, size_t k, Candidates& candidates) {
  simpler_sequences(c, rule, candidates);
  shorter_sequences(c, rule, k, candidates);
}

void simpler_rules(const Case& c, Candidates& candidates) {
  using Entry = void (*)(const Case&, size_t, size_t, Candidates&);
  static constexpr Entry by_kind[] = {lower_number, lower_number,   plainer_rows,     merge_lengths,
                                      simpler_tree, simpler_q_lens, shorter_sequences};
  const std::vector<RuleUse>& rules = c.problem.mask.rules;
  for (size_t rule = 0; rule < rules.size(); ++rule)
    for (size_t k = 0; k < rules[rule].values.size(); ++k)
      by_kind[static_cast<size_t>(rules[rule].spec->params[k].kind)](c, rule, k, candidates);
}

/// One line each, biggest steps first.
constexpr void (*const table[])(const Case&, Candidates&) = {
    generated_data,   drop_cache,    drop_steps,    merge_steps,  drop_rules,
    plain_options_of, simpler_kind,  drop_outputs,  drop_rows,    lower_heads,
    lower_lengths,    lower_dims,    lower_rope,    lower_memory, fewer_given,
    simpler_cache,    simpler_steps, simpler_rules, plainer_given};

}  // namespace

Case with_rows(Case c, const std::vector<size_t>& rows) {
  keep_rows(c, rows);
  return c;
}

std::vector<Reduction> reductions(const Case& c) {
  std::vector<Reduction> all;
  Candidates candidates(all);
  for (const auto entry : table) entry(c, candidates);
  return all;
}

}  // namespace attnfuzz
