#include "tools/bench/zoo/grid.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "fuzz/elements.h"
#include "oracle/answer.h"

namespace attnfuzz::bench {
namespace {

struct Lengths {
  int64_t q, k;
};
/// Of flash-attention's tests, up to 800 keys.
constexpr Lengths plain_lengths[] = {{1, 239},   {3, 799},   {127, 512}, {127, 513},
                                     {113, 203}, {128, 217}, {113, 211}, {108, 256}};
constexpr Lengths cached_lengths[] = {{1, 128}, {1, 339}, {3, 512}, {64, 256}, {64, 128}, {3, 799}};

struct Heads {
  int64_t queries, keys;
};
constexpr Heads heads[] = {{2, 2}, {2, 1}, {4, 2}};  // mha, mqa, gqa

RuleUse rule(std::string_view name, std::vector<ParamValue> values = {}) {
  return {find_rule(name), std::move(values)};
}

Problem problem(const Heads& of, size_t number) {
  Problem p;
  p.batch = 2;
  p.num_heads = of.queries;
  p.num_kv_heads = of.keys;
  p.head_dim = p.head_dim_v = 64;
  p.dtype = number % 2 == 0 ? DType::f16 : DType::bf16;
  p.layout = Layout::bshd;
  p.mask.align = Align::bottom_right;
  return p;
}

Step step(StepOp op, int64_t q_len) {
  Step made;
  made.op = op;
  made.q_len = q_len;
  return made;
}

std::vector<Case> plain_grid(zoo::Kernel kernel) {
  std::vector<Case> grid;
  for (const Heads& of : heads)
    for (const bool causal : {false, true})
      for (const bool local : {false, true})
        for (const bool alibi : {false, true})
          for (const double softcap : {0.0, 50.0})
            for (const Lengths& lengths : plain_lengths) {
              Case c;
              c.problem = problem(of, grid.size());
              const bool wide = kernel == zoo::Kernel::naive || zoo::gives_more(kernel);
              if (wide) c.problem.dtype = DType::f32;
              c.problem.q_len =
                  kernel == zoo::Kernel::split_kv ? std::min<int64_t>(lengths.q, 16) : lengths.q;
              c.problem.kv_len = lengths.k;
              c.problem.softcap = softcap;
              if (zoo::gives_more(kernel))
                c.problem.outputs = {Output::out, Output::dq, Output::dk, Output::dv};
              if (causal) c.problem.mask.rules.push_back(rule("causal"));
              if (local)
                c.problem.mask.rules.push_back(
                    rule("window", {lengths.k / 4, causal ? int64_t{0} : lengths.k / 8}));
              if (alibi) c.problem.mask.rules.push_back(rule("alibi"));
              c.data.seed = grid.size();
              grid.push_back(std::move(c));
            }
  return grid;
}

std::vector<Case> cached_grid(zoo::Kernel kernel) {
  std::vector<Case> grid;
  for (const Heads& of : heads)
    for (const bool local : {false, true})
      for (const bool alibi : {false, true})
        for (const int64_t page_size : {16, 256})
          for (const Lengths& lengths : cached_lengths) {
            if (kernel != zoo::Kernel::paged_cache && page_size != 256) continue;
            Case c;
            c.problem = problem(of, grid.size());
            c.problem.q_len = c.problem.kv_len = 0;
            c.problem.mask.align = Align::top_left;
            c.problem.mask.rules = {rule("causal")};
            if (local) c.problem.mask.rules.push_back(rule("window", {lengths.k / 4, int64_t{0}}));
            if (alibi) c.problem.mask.rules.push_back(rule("alibi"));
            c.cache = Cache{};
            c.cache->kind = kernel == zoo::Kernel::paged_cache  ? CacheKind::paged
                            : kernel == zoo::Kernel::ring_cache ? CacheKind::ring
                                                                : CacheKind::fixed;
            c.cache->capacity = kernel == zoo::Kernel::ring_cache ? lengths.k / 2 : 1024;
            if (c.cache->kind == CacheKind::paged) c.cache->page_size = page_size;
            c.steps = {step(StepOp::prefill, std::min<int64_t>(lengths.k - lengths.q, 512)),
                       step(StepOp::append, lengths.q), step(StepOp::decode, 1)};
            c.data.seed = grid.size();
            grid.push_back(std::move(c));
          }
  return grid;
}

/// A case with what it is judged by.
struct Entry {
  Case c;
  Inputs inputs;
  Answer right;
  std::vector<std::vector<double>> allowed;  ///< largest error, of each step's outputs
};

/// The largest error of each output of a step.
std::vector<double> errors(const Case& c, const StepAnswer& right, const StepOutput& got) {
  std::vector<double> largest;
  for (const WantedOutput& want : wanted_outputs(c, right)) {
    double& most = largest.emplace_back(0);
    const Tensor* given = given_output(got, want.output);
    if (given == nullptr || given->shape != *want.shape) {
      most = INFINITY;
      continue;
    }
    const std::vector<double> values = given->to_doubles();
    for (size_t e = 0; e < values.size(); ++e) {
      const double off = std::abs(values[e] - (*want.values)[e]);
      most = std::isnan(off) ? INFINITY : std::max(most, off);
    }
  }
  return largest;
}

Entry entry(const Case& c, zoo::Kernel kernel) {
  Entry made{c, make_inputs(c), {}, {}};
  made.right = answer(c, made.inputs);
  const std::string_view rounding =
      c.problem.dtype == DType::bf16 ? "scores-in-bf16" : "scores-in-f16";
  const auto low = zoo::open({rounding, "", kernel, ""});
  const Outcome outcome = low->run(c, made.inputs);
  for (size_t s = 0; s < made.right.steps.size(); ++s) {
    std::vector<double>& allowed = made.allowed.emplace_back();
    for (const double error : errors(c, made.right.steps[s], outcome.steps[s]))
      allowed.push_back(2 * error + 1e-5);
  }
  return made;
}

const std::vector<Entry>& grid_of(zoo::Kernel kernel) {
  static std::map<zoo::Kernel, std::vector<Entry>> grids;
  std::vector<Entry>& grid = grids[kernel];
  if (!grid.empty()) return grid;
  const bool cached = kernel >= zoo::Kernel::dense_cache;
  const Capabilities claims = zoo::open_clean(kernel)->info().capabilities;
  for (const Case& c : cached ? cached_grid(kernel) : plain_grid(kernel))
    if (claims.rejection_reason(c).empty()) grid.push_back(entry(c, kernel));
  return grid;
}

bool tells(const Entry& entry, Target& target) {
  const Outcome outcome = target.run(entry.c, entry.inputs);
  if (outcome.status != Status::ok || outcome.steps.size() != entry.right.steps.size()) return true;
  for (size_t s = 0; s < outcome.steps.size(); ++s) {
    const std::vector<double> off = errors(entry.c, entry.right.steps[s], outcome.steps[s]);
    for (size_t k = 0; k < off.size(); ++k)
      if (off[k] > entry.allowed[s][k]) return true;
    if (!outcome.steps[s].lengths.empty() &&
        outcome.steps[s].lengths != entry.right.steps[s].lengths)
      return true;
  }
  return false;
}

}  // namespace

size_t grid_size(zoo::Kernel kernel) {
  return grid_of(kernel).size();
}

std::optional<size_t> first_in_grid(const zoo::Mutant& mutant) {
  const std::unique_ptr<Target> target = zoo::open(mutant);
  const std::vector<Entry>& grid = grid_of(mutant.kernel);
  const auto found = std::find_if(grid.begin(), grid.end(),
                                  [&](const Entry& each) { return tells(each, *target); });
  return found == grid.end() ? std::nullopt : std::optional<size_t>(found - grid.begin());
}

}  // namespace attnfuzz::bench
