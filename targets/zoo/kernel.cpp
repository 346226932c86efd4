#include <algorithm>
#include <cmath>
#include <limits>

#include "targets/zoo/gradients.h"
#include "targets/zoo/sparse.h"

namespace attnfuzz::zoo {
namespace {

/// The next number of the type towards zero, where x is not one.
double truncated(DType type, double x) {
  const double nearest = round_to(type, x);
  if (std::abs(nearest) <= std::abs(x) || !std::isfinite(nearest)) return nearest;
  const int bits = info(type).mantissa_bits;
  return nearest -
         std::copysign(std::ldexp(1.0, std::max(std::ilogb(x), info(type).min_exponent) - bits + 1),
                       x);
}

/// Gives each key of a query its factor of dropout.
void drop(const Context& x, int64_t b, int64_t h, int64_t i, std::vector<Key>& keys) {
  if (x.dropout.empty()) return;
  const Problem& p = x.problem;
  const auto width = static_cast<size_t>(p.memory_kv + p.kv_len);
  const size_t first = static_cast<size_t>((b * p.num_heads + h) * p.q_len + i) * width;
  for (size_t n = 0; n < std::min(width, keys.size()); ++n) keys[n].kept = x.dropout[first + n];
}

}  // namespace

void attend(const Context& x, int64_t b, int64_t h, int64_t i, int64_t q_pos, const double* q,
            std::vector<Key>& keys, double* out) {
  int64_t kv_len = 0;
  for (Key& key : keys) {
    const Pair pair{b, h, i, q_pos, key.j, key.position};
    key.hidden = key.hidden || (!key.memory && !sees(x, pair));
    key.score = score(x, pair, q, key);
    // A bias of −inf hides its key, whatever that holds.
    const bool infinite = x.data.nonfinite == NonFinite::inf_bias && !key.memory &&
                          bias(x, pair) == -std::numeric_limits<double>::infinity();
    const bool nan = infinite && key.hidden && x.m.is("bias-inf-times-mask"_line);
    if (nan) key.score = std::numeric_limits<double>::quiet_NaN();  // 0 · −inf
    key.hidden = (key.hidden || infinite) && !nan;
    if (!key.memory) ++kv_len;
  }
  softmax(x, keys, kv_len, sink(x, h), out);
}

Tensor to_tensor(const Context& x, const Operand& out, Shape shape) {
  std::vector<double> values = out.values;
  if (x.m.is("out-truncated"_line))
    for (double& value : values) value = truncated(x.problem.dtype, value);
  return Tensor::from_doubles(x.problem.dtype, std::move(shape), values);
}

void run_plain(const Context& x, const Inputs& inputs, std::vector<StepOutput>& steps) {
  const Problem& p = x.problem;
  const Operand q = read(x, p.layout, inputs.at("q"), "q");
  const Operand k = read(x, p.layout, inputs.at("k"), "k");
  const bool keys_as_values = x.m.is("values-are-keys"_line) && p.head_dim == p.head_dim_v;
  Operand v = keys_as_values ? k : read(x, p.layout, inputs.at("v"), "v");
  if (x.m.is("subnormals-flushed"_line))
    for (double& value : v.values)
      if (std::abs(value) < std::ldexp(1.0, info(p.dtype).min_exponent)) value = 0;
  const Shape shape = shape_in(p.layout, p.batch, p.num_heads, p.q_len, p.head_dim_v);
  Operand out(p.layout, shape);
  Gradients more(x, inputs);
  std::vector<Key> keys;
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i) {
        const Row row = row_of(x, b);
        keys.clear();
        add_memory(x, memory_head(x, h), keys);
        for (int64_t j = 0; j < p.kv_len; ++j)
          keys.push_back({.k = k.at(row.k, key_head(x, h), j),
                          .v = v.at(row.v, value_head(x, h), value_of_key(x, j, p.kv_len)),
                          .j = j,
                          .position = j});
        add_tail(x, b, h, i, keys);
        drop(x, b, h, i, keys);
        const int64_t q_pos = query_position(x, i);
        attend(x, b, h, i, q_pos, q.at(row.q, h, i), keys, out.at(b, h, i));
        more.add({b, h, i, q_pos, q.at(row.q, h, i), keys, sink(x, h)});
      }
  steps.push_back({to_tensor(x, out, shape), {}});
  more.finish(steps.back());
}

}  // namespace attnfuzz::zoo
