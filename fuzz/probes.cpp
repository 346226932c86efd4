#include <algorithm>

#include "fuzz/signature.h"

namespace attnfuzz {
namespace {

/// Gives row-wise lists the length of a larger batch: more rows like the last.
void add_rows(Case& c, int64_t count) {
  const auto extend = [&](std::vector<int64_t>& list) {
    if (!list.empty()) list.insert(list.end(), static_cast<size_t>(count), list.back());
  };
  c.problem.batch += count;
  for (RuleUse& use : c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k)
      if (use.spec->params[k].kind == RuleParam::Kind::per_batch)
        extend(std::get<std::vector<int64_t>>(use.values[k]));
  for (Step& step : c.steps) {
    extend(step.lens);
    extend(step.rows);
  }
}

/// More tokens at the end of the last of the lengths of this kind.
void extend_lengths(Case& c, RuleParam::Kind kind, int64_t count) {
  for (RuleUse& use : c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k)
      if (use.spec->params[k].kind == kind) {
        auto& lengths = std::get<std::vector<int64_t>>(use.values[k]);
        if (lengths.empty())
          lengths.push_back(count);
        else
          lengths.back() += count;
      }
}

void add_keys(Case& c, int64_t count) {
  c.problem.kv_len += count;
  extend_lengths(c, RuleParam::Kind::lengths, count);
  extend_lengths(c, RuleParam::Kind::kv_lens, count);
  std::vector<int64_t>& positions = c.problem.rope_positions;
  for (int64_t n = 0; n < count && !positions.empty(); ++n)
    positions.push_back(positions.back() + 1);
}

void add_queries(Case& c, int64_t count) {
  c.problem.q_len += count;
  extend_lengths(c, RuleParam::Kind::q_lens, count);
}

void add_key_heads(Case& c, int64_t count) {
  const int64_t group = c.problem.num_heads / std::max<int64_t>(1, c.problem.num_kv_heads);
  c.problem.num_kv_heads += count;
  c.problem.num_heads = c.problem.num_kv_heads * group;
}

/// Raises the size by `count`; leaves the case as it is where it has no such size.
using Raise = void (*)(Case&, int64_t count);
constexpr Raise table[] = {
    add_rows,
    add_key_heads,
    [](Case& c, int64_t count) { c.problem.num_heads += count * c.problem.num_kv_heads; },
    [](Case& c, int64_t count) {
      if (!c.cached()) add_queries(c, count);
    },
    [](Case& c, int64_t count) {
      if (!c.cached()) add_keys(c, count);
    },
    [](Case& c, int64_t count) {
      if (c.cached()) return;
      add_queries(c, count);
      add_keys(c, count);
    },
    [](Case& c, int64_t count) { c.problem.head_dim += count; },
    [](Case& c, int64_t count) { c.problem.head_dim_v += count; },
    [](Case& c, int64_t count) {
      c.problem.head_dim += count;
      c.problem.head_dim_v += count;
    },
    [](Case& c, int64_t count) {
      if (c.problem.memory_kv > 0) c.problem.memory_kv += count;
    },
    [](Case& c, int64_t count) {
      if (c.cached() && c.cache->capacity > 0) c.cache->capacity += count;
    },
    [](Case& c, int64_t count) {
      if (c.cached() && c.cache->page_size > 0) c.cache->page_size += count;
    },
};

void keep_valid(std::vector<Case>& probes, const Case& c, Case probe) {
  if (!(probe == c) && is_valid(probe)) probes.push_back(std::move(probe));
}

/// By 1, 2 and a multiple of 8: targets may want even sizes, or multiples. By 40, and 150 keys:
/// more than tiles hold.
constexpr int64_t counts[] = {1, 2, 8}, beyond_tiles[] = {40, 150};

void add_long_probes(std::vector<Case>& probes, const Case& c) {
  if (c.cached()) return;
  for (const int64_t count : beyond_tiles) {
    Case more_keys = c;
    add_keys(more_keys, count);
    Case longer = more_keys;
    add_queries(longer, count);
    keep_valid(probes, c, std::move(more_keys));
    keep_valid(probes, c, std::move(longer));
  }
}

/// Tails of 4 and of 8 elements differ.
void add_dim_probe(std::vector<Case>& probes, const Case& c) {
  Case wider = c;
  wider.problem.head_dim += 4;
  keep_valid(probes, c, std::move(wider));
}

/// With one rule more: what has gone wrong with one rule, or with what all of them are made of?
void add_ruled_probes(std::vector<Case>& probes, const Case& c) {
  const RuleUse more[] = {{find_rule("window"), {int64_t{1}, int64_t{64}}},
                          {find_rule("causal"), {}},
                          {find_rule("alibi"), {}}};
  for (const RuleUse& rule : more) {
    if (c.problem.mask.rules.empty() || c.problem.mask.find(rule.spec->name) != nullptr) continue;
    Case probe = c;
    probe.problem.mask.rules.push_back(rule);
    keep_valid(probes, c, std::move(probe));
  }
}

}  // namespace

std::vector<Case> probes(const Case& c) {
  std::vector<Case> near;
  for (const int64_t count : counts) {
    for (const Raise raise : table) {
      Case probe = c;
      raise(probe, count);
      keep_valid(near, c, std::move(probe));
    }
    for (size_t s = 0; s < c.steps.size(); ++s) {
      Case later = c;
      if (c.steps[s].op == StepOp::evict) later.steps[s].count += count;
      if (c.steps[s].op == StepOp::crop) later.steps[s].length += count;
      keep_valid(near, c, std::move(later));
      if (!c.steps[s].has_tokens() || c.steps[s].op == StepOp::decode) continue;
      Case probe = c;
      probe.steps[s].q_len += count;
      keep_valid(near, c, std::move(probe));
      if (c.steps[s].kv_len.value_or(0) == 0) continue;
      Case longer = c;
      *longer.steps[s].kv_len += count;
      keep_valid(near, c, std::move(longer));
    }
    for (size_t k = 0; k < c.problem.mask.rules.size(); ++k) {
      const RuleSpec& rule = *c.problem.mask.rules[k].spec;
      for (size_t n = 0; n < rule.params.size(); ++n) {
        if (rule.params[n].kind != RuleParam::Kind::integer) continue;
        Case probe = c;
        std::get<int64_t>(probe.problem.mask.rules[k].values[n]) += count;
        keep_valid(near, c, std::move(probe));
      }
    }
  }
  add_dim_probe(near, c);
  add_long_probes(near, c);
  add_ruled_probes(near, c);
  return near;
}

}  // namespace attnfuzz
