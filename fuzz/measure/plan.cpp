#include "fuzz/measure/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "oracle/lower/visible.h"

namespace attnfuzz::measure {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

void add_sources(Plan& plan) {
  const Problem& p = plan.c.problem;
  for (int32_t g = 0; g < p.num_kv_heads; ++g)
    for (int64_t m = 0; m < p.memory_kv; ++m) plan.sources.push_back({-1, 0, g, m});
  const size_t steps = plan.c.cached() ? plan.c.steps.size() : 1;
  for (size_t s = 0; s < steps; ++s) {
    plan.first_of_step.push_back(plan.sources.size());
    const Step* step = plan.c.cached() ? &plan.c.steps[s] : nullptr;
    const int64_t keys = step == nullptr ? p.kv_len : step->has_tokens() ? step->keys() : 0;
    for (int32_t b = 0; b < p.batch; ++b)
      for (int32_t g = 0; g < p.num_kv_heads; ++g)
        for (int64_t i = 0; i < keys; ++i)
          plan.sources.push_back({static_cast<int32_t>(s), b, g, i});
  }
  plan.born.assign(plan.sources.size(), -1);
}

/// One row's queries of one step.
struct View {
  int step;
  int64_t b, first_position, first_query, queries;
  const Held& held;
};

void add_query(Plan& plan, const View& view, int64_t h, int64_t i) {
  const Problem& p = plan.c.problem;
  const int64_t g = p.kv_head(h);
  Query query;
  query.step = view.step;
  query.b = static_cast<int32_t>(view.b);
  query.h = static_cast<int32_t>(h);
  query.i = view.first_query + i;
  query.position = view.first_position + i;
  const size_t n = view.held.tokens.size();
  std::vector<uint8_t> visible(n);
  std::vector<double> bias(n);
  show_keys(plan.c, {static_cast<size_t>(view.step), view.b, h, i, query.position},
            view.held.positions, {visible, bias});
  for (int64_t m = 0; m < p.memory_kv; ++m) query.keys.push_back({plan.memory(g, m), -1, 0, 0});
  for (size_t j = 0; j < n; ++j) {
    const int64_t position = view.held.positions[j];
    if (visible[j] != 0 && bias[j] > -inf)
      query.keys.push_back({plan.source(view.held.tokens[j], g), position, bias[j], j});
  }
  plan.queries.push_back(std::move(query));
}

void add_queries(Plan& plan, const View& view) {
  for (int64_t h = 0; h < plan.c.problem.num_heads; ++h)
    for (int64_t i = 0; i < view.queries; ++i) add_query(plan, view, h, i);
}

void add_plain(Plan& plan) {
  const Problem& p = plan.c.problem;
  plan.held.emplace_back(static_cast<size_t>(p.batch));
  for (int64_t b = 0; b < p.batch; ++b) {
    Held& held = plan.held[0][static_cast<size_t>(b)];
    held.positions.resize(static_cast<size_t>(p.kv_len));
    std::iota(held.positions.begin(), held.positions.end(), 0);
    for (int64_t j = 0; j < p.kv_len; ++j) {
      held.tokens.push_back({0, static_cast<int32_t>(b), j});
      for (int64_t g = 0; g < p.num_kv_heads; ++g)
        plan.born[plan.source(held.tokens.back(), g)] = j;
    }
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (const PackedSequence& each : sequences(p)) {
        const int64_t of_query_0 = each.first_position(p.mask.align) - each.q_begin;
        for (int64_t i = each.q_begin; i < each.q_begin + each.q_len; ++i)
          add_query(plan, {0, b, of_query_0, 0, p.q_len, held}, h, i);
      }
  }
}

void add_steps(Plan& plan) {
  const Problem& p = plan.c.problem;
  CacheHistory cache(plan.c);
  for (size_t s = 0; s < plan.c.steps.size(); ++s) {
    cache.apply(s);
    plan.held.emplace_back(static_cast<size_t>(p.batch));
    if (!plan.c.steps[s].has_tokens()) continue;
    for (int64_t b = 0; b < p.batch; ++b) {
      Held& held = plan.held[s][static_cast<size_t>(b)];
      for (const KeyEntry& entry : cache.entries(b)) held.tokens.push_back(entry.key);
      held.positions = cache.positions(b);
      for (size_t j = 0; j < held.tokens.size(); ++j)
        for (int64_t g = 0; g < p.num_kv_heads; ++g)
          if (held.tokens[j].step == static_cast<int32_t>(s))
            plan.born[plan.source(held.tokens[j], g)] = held.positions[j];
      add_queries(plan, {static_cast<int>(s), b, cache.past_length(b), cache.first_new(b),
                         cache.new_tokens(b), held});
    }
  }
}

}  // namespace

size_t Plan::source(const Token& token, int64_t head) const {
  const Problem& p = c.problem;
  const auto step = static_cast<size_t>(token.step);
  const int64_t keys = c.cached() ? c.steps[step].keys() : p.kv_len;
  return first_of_step[step] +
         static_cast<size_t>((token.row * p.num_kv_heads + head) * keys + token.i);
}

Plan declared(const Case& c) {
  Plan plan;
  plan.c = c;
  add_sources(plan);
  if (c.cached())
    add_steps(plan);
  else
    add_plain(plan);
  return plan;
}

double finished(const Problem& problem, double score, double bias) {
  const bool before = problem.bias_order == BiasOrder::before_softcap;
  if (before) score += bias;
  if (problem.softcap > 0) score = problem.softcap * std::tanh(score / problem.softcap);
  return before ? score : score + bias;
}

std::vector<double> weights(const Problem& problem, const Query& query,
                            std::span<const double> scores, double sink) {
  std::vector<double> s(scores.begin(), scores.end());
  double max = sink;
  for (size_t j = 0; j < s.size(); ++j) {
    s[j] = finished(problem, s[j], query.keys[j].bias);
    max = std::max(max, s[j]);
  }
  double sum = std::exp(sink - max);
  for (double& x : s) sum += x = std::exp(x - max);
  for (double& x : s) x /= sum;
  return s;
}

}  // namespace attnfuzz::measure
