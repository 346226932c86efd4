// How tensors are read: layouts, strides, heads, memory and sinks, with their mutants.
#include <algorithm>
#include <limits>

#include "targets/zoo/kernel.h"

namespace attnfuzz::zoo {
namespace {

Layout other(Layout layout) {
  return layout == Layout::bhsd ? Layout::bshd : Layout::bhsd;
}

/// KV head by the case's map, or by the other one.
int64_t by_map(const Problem& p, int64_t h, bool swapped) {
  const bool grouped = (p.head_map == HeadMap::grouped) != swapped;
  return grouped ? h / (p.num_heads / p.num_kv_heads) : h % p.num_kv_heads;
}

constexpr Mutant table[] = {
    {"heads-map-swapped", "h % num_kv_heads for h / group, and the other way round", Kernel::tiled,
     "head-map-interleaved head-map-grouped"},
    {"heads-map-always-grouped", "h / group whatever the case asks for", Kernel::naive,
     "head-map-grouped"},
    {"heads-map-first", "all query heads use KV head 0", Kernel::split_kv, "kv-first-head",
     "another KV head (1 → 0, 2 → 0"},
    {"heads-map-of-values", "the values' head is h % num_kv_heads", Kernel::tiled,
     "values-head-map"},
    {"heads-values-first", "the values' head stride is 0", Kernel::naive, "values-first-head"},
    {"heads-keys-first", "the keys' head stride is 0", Kernel::tiled, "keys-first-head"},
    {"heads-reversed", "KV heads are counted from the last", Kernel::split_kv, "kv-heads-reversed"},
    {"rows-keys-first", "the keys' batch stride is 0", Kernel::tiled, "keys-first-row"},
    {"rows-values-first", "the values' batch stride is 0", Kernel::naive, "values-first-row"},
    {"rows-kv-first", "keys and values of the first batch row are used for all", Kernel::split_kv,
     "kv-first-row", "the token at the same place of row 0: exactly for keys with batch row ≥ 1"},
    {"rows-queries-first", "the queries' batch stride is 0", Kernel::tiled, "queries-first-row"},
    {"layout-of-queries", "q is read in the other layout", Kernel::tiled, "queries-other-layout"},
    {"layout-of-keys", "k is read in the other layout", Kernel::split_kv, "keys-other-layout"},
    {"layout-of-values", "v is read in the other layout", Kernel::naive, "values-other-layout"},
    {"values-are-keys", "the value pointer is the key pointer where the sizes allow it",
     Kernel::tiled, "values-are-keys"},
    {"values-one-late", "each key takes the next key's value", Kernel::naive, "values-one-late"},
    {"values-one-early", "each key takes the value before its own", Kernel::tiled,
     "values-one-early"},
    {"values-reversed", "values are read from the last to the first", Kernel::split_kv,
     "values-reversed"},
    {"memory-ignored", "memory keys are not passed on", Kernel::tiled, "memory-kv-ignored"},
    {"memory-first-head", "the memory's head stride is 0", Kernel::naive, "memory-first-head"},
    {"memory-values-first-head", "the memory values' head stride is 0", Kernel::tiled,
     "memory-values-first-head"},
    {"memory-values-zero", "memory values are not copied", Kernel::split_kv, "memory-values-zero"},
    {"memory-twice", "memory keys are added twice", Kernel::tiled, "memory-twice"},
    {"sinks-ignored", "sinks are not passed on", Kernel::tiled, "sinks-ignored"},
    {"sinks-first-head", "the first head's sink is used for all", Kernel::naive,
     "sinks-first-head"},
    {"sinks-of-key-heads", "sinks are indexed by the KV head", Kernel::tiled, "sinks-of-key-heads"},
    {"sinks-negated", "exp(m - sink) for exp(sink - m), with m = 0", Kernel::split_kv,
     "sinks-negated"},
    {"sinks-scaled", "the sink is multiplied by the scale", Kernel::tiled, "sinks-scaled"},
};

}  // namespace

Operand::Operand(Layout layout, const Shape& shape) {
  values.resize(static_cast<size_t>(element_count(shape)));
  batch = shape[1] * shape[2] * shape[3];
  const bool heads_first = layout == Layout::bhsd;
  head = heads_first ? shape[2] * shape[3] : shape[3];
  token = heads_first ? shape[3] : shape[2] * shape[3];
}

Operand::Operand(Layout layout, const Tensor& tensor) : Operand(layout, tensor.shape) {
  values = tensor.to_doubles();
}

Context::Context(const Mutation& mutation, Kernel of, Build build, const Case& c,
                 const Inputs& inputs)
    : m(mutation), kernel(of), tile(tiles_of(build)), problem(c.problem), data(c.data) {
  if (problem.sinks) sinks = inputs.at("sinks").to_doubles();
  if (const Tensor* given = inputs.find("bias")) bias = Operand(Layout::bhsd, *given);
  if (problem.has_dropout() && !m.is("dropout-ignored"_line)) {
    dropout = inputs.at("dropout").to_doubles();
    if (!m.is("dropout-not-rescaled"_line))
      for (double& kept : dropout) kept *= 100.0 / static_cast<double>(problem.dropout_keep);
  }
  const auto memory = [&](std::string_view name) {
    const Tensor& tensor = inputs.at(name);
    Operand operand(Layout::bhsd, {1, tensor.shape[0], tensor.shape[1], tensor.shape[2]});
    operand.values = tensor.to_doubles();
    return operand;
  };
  if (problem.memory_kv > 0) {
    mem_k = memory("mem_k");
    mem_v = memory("mem_v");
  }
}

Operand read(const Context& x, Layout layout, const Tensor& tensor, std::string_view name) {
  const Mutation& m = x.m;
  const bool swapped = (name == "q" && m.is("layout-of-queries"_line)) ||
                       (name == "k" && m.is("layout-of-keys"_line)) ||
                       (name == "v" && m.is("layout-of-values"_line));
  if (!swapped) return {layout, tensor};
  const Shape& s = tensor.shape;
  Operand operand(other(layout), {s[0], s[2], s[1], s[3]});
  operand.values = tensor.to_doubles();
  return operand;
}

int64_t key_head(const Context& x, int64_t h) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  if (m.is("heads-map-first"_line) || m.is("heads-keys-first"_line)) return 0;
  if (m.is("heads-map-always-grouped"_line)) return h / (p.num_heads / p.num_kv_heads);
  const int64_t g = by_map(p, h, m.is("heads-map-swapped"_line));
  return m.is("heads-reversed"_line) ? p.num_kv_heads - 1 - g : g;
}

int64_t value_head(const Context& x, int64_t h) {
  const Mutation& m = x.m;
  if (m.is("heads-values-first"_line)) return 0;
  if (m.is("heads-keys-first"_line)) return by_map(x.problem, h, false);
  if (m.is("heads-map-of-values"_line)) return h % x.problem.num_kv_heads;
  return key_head(x, h);
}

/// By the map of keys, but for the mutants of k's and v's strides alone.
int64_t memory_head(const Context& x, int64_t h) {
  const Mutation& m = x.m;
  const bool strides =
      m.is("heads-map-first"_line) || m.is("heads-keys-first"_line) || m.is("heads-reversed"_line);
  return strides ? x.problem.kv_head(h) : key_head(x, h);
}

Row row_of(const Context& x, int64_t b) {
  const Mutation& m = x.m;
  const bool kv = m.is("rows-kv-first"_line);
  return {m.is("rows-queries-first"_line) ? 0 : b, kv || m.is("rows-keys-first"_line) ? 0 : b,
          kv || m.is("rows-values-first"_line) ? 0 : b};
}

int64_t value_of_key(const Context& x, int64_t j, int64_t kv_len) {
  const Mutation& m = x.m;
  if (m.is("values-reversed"_line)) return kv_len - 1 - j;
  return std::clamp<int64_t>(j + m.one("values-one-late"_line) - m.one("values-one-early"_line), 0,
                             kv_len - 1);
}

void add_memory(const Context& x, int64_t g, std::vector<Key>& keys) {
  const Mutation& m = x.m;
  if (m.is("memory-ignored"_line)) return;
  static const std::vector<double> zeros(4096);
  for (int64_t n = 0; n < (1 + m.one("memory-twice"_line)) * x.problem.memory_kv; ++n) {
    const int64_t j = n % x.problem.memory_kv;
    const int64_t of_k = m.either<int64_t>("memory-first-head"_line, 0, g);
    const int64_t of_v = m.either<int64_t>("memory-values-first-head"_line, 0, of_k);
    const double* v = x.mem_v.at(0, of_v, j);
    keys.push_back({.k = x.mem_k.at(0, of_k, j),
                    .v = m.either("memory-values-zero"_line, zeros.data(), v),
                    .j = j,
                    .memory = true});
  }
}

double sink(const Context& x, int64_t h) {
  const Mutation& m = x.m;
  if (x.sinks.empty() || m.is("sinks-ignored"_line))
    return -std::numeric_limits<double>::infinity();
  int64_t of = m.either<int64_t>("sinks-first-head"_line, 0, h);
  if (m.is("sinks-of-key-heads"_line)) of = x.problem.kv_head(h);
  const double value = x.sinks[static_cast<size_t>(of)];
  if (m.is("sinks-negated"_line)) return -value;
  return m.is("sinks-scaled"_line) ? value * x.problem.scale_value() : value;
}

std::span<const Mutant> head_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
