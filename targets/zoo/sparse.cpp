// Patterns of blocks, dilation, spans, trees and the bias by distance, with their mutants.
#include "targets/zoo/sparse.h"

#include <algorithm>
#include <cmath>

#include "oracle/masks/indices.h"

namespace attnfuzz::zoo {
namespace {

bool block_sparse(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  const int64_t q_block = use.integer("q_block"), kv_block = use.integer("kv_block");
  int64_t b = at.b, h = at.h, i = at.i / q_block * q_block;
  int64_t j = at.key_pos / kv_block * kv_block;
  if (m.is("block-sparse-ignored"_line)) return true;
  if (m.is("block-sparse-tail-missing"_line) && j + kv_block > x.problem.kv_len) return false;
  if (m.is("block-sparse-first-head"_line)) h = 0;
  if (m.is("block-sparse-first-row"_line)) b = 0;
  if (m.is("block-sparse-transposed"_line)) {
    const int64_t of_query = i / q_block;
    i = j / kv_block * q_block;
    j = of_query * kv_block;
  }
  uint8_t set = 1;
  use.spec->apply(use, {x.problem, x.data, b, h, i, i, {&j, 1}, 0, 0}, {{&set, 1}, {}});
  return set != 0;
}

bool dilated(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("dilated-ignored"_line)) return true;
  const int64_t step = use.integer("step") + m.one("dilated-step-plus-one"_line);
  const int64_t from = m.either<int64_t>("dilated-from-first-key"_line, 0, at.q_pos);
  return (at.key_pos - from) % step == 0;
}

bool indices(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("indices-ignored"_line)) return true;
  const int64_t b = m.either<int64_t>("indices-first-row"_line, 0, at.b),
                h = m.either<int64_t>("indices-first-head"_line, 0, at.h),
                i = m.either<int64_t>("indices-first-query"_line, 0, at.i);
  std::vector<int64_t> keys = selected_keys(use, {x.problem, x.data, b, h, i, i, {}, 0, 0});
  if (m.is("indices-one-less"_line) && !keys.empty()) keys.pop_back();
  const int64_t last = x.problem.kv_len - 1;
  return std::any_of(keys.begin(), keys.end(), [&](int64_t key) {
    if (key >= 0) return key == at.j;
    return (m.is("indices-none-as-last"_line) && at.j == last) ||
           (m.is("indices-none-as-first"_line) && at.j == 0);
  });
}

bool spans(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("spans-ignored"_line)) return true;
  std::vector<int64_t> lens = use.list("lens");
  if (lens.size() > 1) {
    const int64_t by = m.one("spans-plus-one"_line) - m.one("spans-minus-one"_line);
    lens.front() += by;
    lens.back() -= by;
  }
  int64_t begin = 0;
  for (const int64_t len : lens) {
    const bool own = at.q_pos >= begin && at.q_pos < begin + len;
    if (own && m.is("spans-alone"_line)) return at.key_pos >= begin && at.key_pos < begin + len;
    if (own && !m.is("spans-causal"_line)) return at.key_pos < begin + len;
    begin += len;
  }
  return at.key_pos <= at.q_pos;
}

bool tree(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  const std::vector<int64_t>& parents = use.list("parents");
  const auto nodes = static_cast<int64_t>(parents.size());
  const int64_t first = x.problem.kv_len - nodes;
  const int64_t query = at.q_pos - first, key = at.key_pos - first;
  if (m.is("tree-ignored"_line)) return true;
  if (query < 0 || m.is("tree-causal"_line)) return key <= query;
  if (key < 0) return !m.is("tree-context-missing"_line);
  int64_t node = query < nodes ? query : -1;
  for (int64_t up = 0; node >= 0; ++up, node = parents[static_cast<size_t>(node)]) {
    if (m.is("tree-parent-alone"_line) && up > 1) return false;
    if (node == key) return true;
  }
  return false;
}

int64_t bucket(const Context& x, const RuleUse& use, int64_t distance) {
  const Mutation& m = x.m;
  const bool both =
      (use.choice("direction") == "both") != m.is("relative-bias-other-direction"_line);
  const bool log = (use.choice("spacing") == "log") != m.is("relative-bias-other-spacing"_line);
  const int64_t count = both ? use.integer("buckets") / 2 : use.integer("buckets");
  const int64_t most = use.integer("max_distance"), exact = count / 2;
  const int64_t side = both && distance > 0 ? count : 0;
  const int64_t n = both ? std::abs(distance) : std::max<int64_t>(0, -distance);
  if (!log) return side + std::min({n, most, count - 1});
  if (n < exact) return side + n;
  if (n >= most) return side + count - 1;
  const double share = std::log(static_cast<double>(n) / static_cast<double>(exact)) /
                       std::log(static_cast<double>(most) / static_cast<double>(exact));
  const auto more = static_cast<int64_t>(share * static_cast<double>(count - exact) + 1e-9);
  return side + std::min(count - 1, exact + more);
}

struct Rule {
  std::string_view name;
  bool (*sees)(const Context&, const RuleUse&, const Pair&);
};
constexpr Rule rules[] = {{"block_sparse", block_sparse},
                          {"dilated", dilated},
                          {"spans", spans},
                          {"tree", tree},
                          {"indices", indices}};

constexpr Mutant table[] = {
    {"block-sparse-ignored", "the list of blocks is not passed on", Kernel::sparse,
     "block-sparse-ignored"},
    {"block-sparse-tail-missing", "kv_len / block blocks, rounded down", Kernel::sparse,
     "block-sparse-tail-missing"},
    {"block-sparse-tail-zeros", "the last block is padded with zeros that count", Kernel::sparse,
     "block-sparse-tail-zeros"},
    {"block-sparse-first-head", "the list's head stride is 0", Kernel::sparse,
     "block-sparse-first-head"},
    {"block-sparse-first-row", "the list's batch stride is 0", Kernel::sparse,
     "block-sparse-first-row"},
    {"block-sparse-transposed", "the pattern is read as [kv block, query block]", Kernel::sparse,
     "block-sparse-transposed"},
    {"dilated-ignored", "the dilation is not passed on", Kernel::sparse, "dilated-ignored"},
    {"dilated-step-plus-one", "step keys lie between two, not step - 1", Kernel::sparse,
     "dilated-step-plus-one"},
    {"dilated-from-first-key", "k % step for (q - k) % step", Kernel::sparse,
     "dilated-from-first-key"},
    {"indices-ignored", "the lists of keys are not passed on", Kernel::sparse, "indices-ignored"},
    {"indices-none-as-last", "indices of -1 are not checked for: k[-1] is read", Kernel::sparse,
     "indices-none-as-last"},
    {"indices-none-as-first", "indices are clamped to 0", Kernel::sparse, "indices-none-as-first"},
    {"indices-one-less", "n < count - 1 for n < count", Kernel::sparse, "indices-one-less"},
    {"indices-first-head", "the lists' head stride is 0", Kernel::sparse, "indices-first-head"},
    {"indices-first-row", "the lists' batch stride is 0", Kernel::sparse, "indices-first-row"},
    {"indices-first-query", "the lists' query stride is 0", Kernel::sparse, "indices-first-query"},
    {"spans-ignored", "spans see all keys", Kernel::sparse, "spans-ignored"},
    {"spans-plus-one", "the first span takes the next one's first token", Kernel::sparse,
     "spans-plus-one"},
    {"spans-minus-one", "the first span loses its last token", Kernel::sparse, "spans-minus-one"},
    {"spans-alone", "spans do not see what is before them", Kernel::sparse, "spans-alone",
     "the key is in the query's span, and"},
    {"spans-causal", "spans are not passed on", Kernel::sparse, "spans-causal"},
    {"tree-ignored", "nodes see all nodes", Kernel::sparse, "tree-ignored"},
    {"tree-causal", "nodes see all nodes before them", Kernel::sparse, "tree-causal"},
    {"tree-parent-alone", "the path to the root ends at the parent", Kernel::sparse,
     "tree-parent-alone"},
    {"tree-context-missing", "the mask of the tree is taken for that of all keys", Kernel::sparse,
     "tree-context-missing"},
    {"relative-bias-ignored", "the table is not passed on", Kernel::sparse,
     "relative-bias-ignored"},
    {"relative-bias-first-head", "the table's head stride is 0", Kernel::sparse,
     "relative-bias-first-head"},
    {"relative-bias-negated-distance", "q - k for k - q", Kernel::sparse,
     "relative-bias-negated-distance"},
    {"relative-bias-other-direction", "bidirectional is negated", Kernel::sparse,
     "relative-bias-other-direction"},
    {"relative-bias-other-spacing", "the other way to make buckets", Kernel::sparse,
     "relative-bias-other-spacing"},
    {"relative-bias-top-left", "the offset kv_len - q_len is missing in distances", Kernel::sparse,
     "relative-bias-top-left"},
};

}  // namespace

bool sees_sparse(const Context& x, const RuleUse& use, const Pair& at) {
  for (const Rule& rule : rules)
    if (rule.name == use.spec->name) return rule.sees(x, use, at);
  return true;
}

double relative_bias(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("relative-bias-ignored"_line)) return 0;
  const int64_t h = m.either<int64_t>("relative-bias-first-head"_line, 0, at.h);
  const int64_t q_pos = m.either("relative-bias-top-left"_line, at.i, at.q_pos);
  const int64_t distance = at.key_pos - q_pos;
  const int64_t n =
      bucket(x, use, m.either("relative-bias-negated-distance"_line, -distance, distance));
  return round_to(x.problem.dtype, element(x.data, Role::bias, 0, 0, h, n, 0, 1));
}

void add_tail(const Context& x, int64_t b, int64_t h, int64_t i, std::vector<Key>& keys) {
  const RuleUse* use = x.problem.mask.find("block_sparse");
  if (use == nullptr || !x.m.is("block-sparse-tail-zeros"_line)) return;
  static const std::vector<double> zeros(4096);
  const int64_t block = use->integer("kv_block"), kv_len = x.problem.kv_len;
  if (kv_len == 0 || !block_sparse(x, *use, {b, h, i, i, kv_len - 1, kv_len - 1})) return;
  for (int64_t n = kv_len; n % block != 0 && n < kv_len + 4096; ++n)
    keys.push_back({.k = zeros.data(), .v = zeros.data(), .memory = true});
}

std::span<const Mutant> sparse_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
