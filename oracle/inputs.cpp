#include "oracle/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <stdexcept>

#include "oracle/element_row.h"
#include "oracle/given.h"
#include "oracle/linear/kinds.h"
#include "oracle/philox.h"
#include "oracle/rows.h"

namespace attnfuzz {
namespace {

bool is_value(Role role) {
  return role == Role::v || role == Role::mem_v;
}

/// Whether a role's data are by the case's distribution.
bool is_distributed(Role role) {
  return role != Role::bias && role != Role::sinks && role != Role::gate && role != Role::beta;
}

/// What a distribution multiplies the normal numbers of a role with.
double scale_of(Distribution dist, Role role, DType dtype) {
  switch (dist) {
    case Distribution::large:
      return is_value(role) ? 64 : 8;
    case Distribution::huge:
      return is_value(role) ? 1 : 64;
    case Distribution::tiny:
      return std::ldexp(0.25, std::max(info(dtype).min_exponent, info(DType::f32).min_exponent));
    default:
      return 1;
  }
}

/// Uniform in [0, 1).
double uniform_from_bits(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}
double gate_from_bits(uint64_t bits) {
  return uniform_from_bits(bits) * ((bits & 15) == 0 ? -16 : -1);
}

/// Of the distribution far_below.
double far_query_from_bits(uint64_t bits) {
  return 10 * (1 + uniform_from_bits(bits));
}
double far_key_from_bits(uint64_t bits) {
  return -far_query_from_bits(bits);
}

/// Calls use(d, element_bits(seed, tensor, index + d)) for d < count. In batches of independent
/// blocks, for the sake of vector units.
template <class Use>
void each_bits(uint64_t seed, uint32_t tensor, uint64_t index, size_t count, Use use) {
  constexpr size_t batch = 16;
  uint64_t bits[2 * batch];
  const size_t skipped = index & 1, end = count + skipped;
  for (size_t begin = 0; begin < end; begin += 2 * batch) {
    const size_t used = std::min(2 * batch, end - begin);
    for (size_t k = 0; k < (used + 1) / 2; ++k) {
      const Philox block = philox4x32(seed, (index - skipped + begin) / 2 + k, tensor);
      bits[2 * k] = block.v[0] | uint64_t{block.v[1]} << 32;
      bits[2 * k + 1] = block.v[2] | uint64_t{block.v[3]} << 32;
    }
    for (size_t k = begin == 0 ? skipped : 0; k < used; ++k) use(begin + k - skipped, bits[k]);
  }
}

/// A whole number, uniform in 0…99.
double percent_from_bits(uint64_t bits) {
  return static_cast<double>((bits >> 32) * 100 >> 32);
}
bool is_percentage(Role role) {
  return role == Role::mask || role == Role::dropout;
}

/// How the elements of one tensor are made, worked out once for the tensor.
struct Recipe {
  uint64_t seed;
  uint32_t tensor;
  Distribution dist;
  double scale;
  bool infinities, hides, cancels;
  double (*uniform)(uint64_t);  ///< of roles that are not normal

  Recipe(const Data& data, Role role, int step, DType dtype)
      : seed(data.seed),
        tensor(tensor_number(role, step)),
        dist(is_distributed(role) ? data.dist : Distribution::normal),
        scale(scale_of(dist, role, dtype)),
        infinities(data.nonfinite == NonFinite::inf_value && role == Role::v),
        hides(data.nonfinite == NonFinite::inf_bias && role == Role::bias),
        cancels(dist == Distribution::cancelling && is_value(role)),
        uniform(uniform_of(role, dist)) {}

  /// Elements 0 … row.size() − 1 of a token.
  void fill(int64_t b, int64_t h, int64_t s, std::span<double> row) const {
    const uint64_t index = element_index(static_cast<uint64_t>(b), static_cast<uint64_t>(h),
                                         static_cast<uint64_t>(s), 0);
    if (dist == Distribution::constant) {
      std::fill(row.begin(), row.end(), 0.5);
    } else if (dist == Distribution::one_hot) {
      std::fill(row.begin(), row.end(), 0.0);
      if (!row.empty()) row[static_cast<size_t>(s) % row.size()] = 1;
    } else if (uniform != nullptr) {
      each_bits(seed, tensor, index, row.size(),
                [&](size_t d, uint64_t bits) { row[d] = uniform(bits); });
    } else {
      each_bits(seed, tensor, index, row.size(),
                [&](size_t d, uint64_t bits) { row[d] = normal_from_bits(bits) * scale; });
      if (cancels)
        for (double& x : row) x = cancelling(x, s);
    }
    if (!infinities) return;
    each_bits(seed, tensor, index, row.size(), [&](size_t d, uint64_t bits) {
      if (is_infinite(bits)) row[d] = infinity_from_bits(bits);
    });
  }

  /// One element of a token: what fill() puts at d of dim.
  double value(uint64_t bits, int64_t s, int64_t d, int64_t dim) const {
    if (infinities && is_infinite(bits)) return infinity_from_bits(bits);
    if (hides && (bits & 3) == 0) return -std::numeric_limits<double>::infinity();
    if (dist == Distribution::constant) return 0.5;
    if (dist == Distribution::one_hot) return d == s % dim ? 1 : 0;
    if (uniform != nullptr) return uniform(bits);
    const double x = normal_from_bits(bits) * scale;
    return cancels ? cancelling(x, s) : x;
  }

 private:
  static double (*uniform_of(Role role, Distribution dist))(uint64_t) {
    if (role == Role::gate) return gate_from_bits;
    if (role == Role::beta) return uniform_from_bits;
    if (dist != Distribution::far_below) return nullptr;
    if (role == Role::q) return far_query_from_bits;
    return role == Role::k || role == Role::mem_k ? far_key_from_bits : nullptr;
  }
  static double cancelling(double x, int64_t s) { return s % 2 == 0 ? 64 + x : -64 - x; }

  /// True for one element in 64.
  static bool is_infinite(uint64_t bits) { return (bits & 63) == 0; }
  static double infinity_from_bits(uint64_t bits) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return (bits & 64) != 0 ? -infinity : infinity;
  }
};

/// Which slots of a [batch, heads, len] input hold no real token; heads may be 1 for all of them.
struct Unreal {
  std::vector<uint8_t> slots;  ///< empty: all are real
  int64_t heads = 1;

  bool at(int64_t b, int64_t h, int64_t s, int64_t len) const {
    return !slots.empty() &&
           slots[static_cast<size_t>((b * heads + (heads > 1 ? h : 0)) * len + s)] != 0;
  }
};

/// What the padding rule hides; empty where there is no such rule.
Unreal padded_slots(const Problem& problem, const Data& data) {
  const RuleUse* padding = problem.mask.find("padding");
  if (padding == nullptr) return {};
  const auto len = static_cast<size_t>(problem.kv_len);
  std::vector<uint8_t> slots(static_cast<size_t>(problem.batch) * len, 1);
  std::vector<int64_t> positions(len);
  std::iota(positions.begin(), positions.end(), 0);
  for (int64_t b = 0; b < problem.batch; ++b) {
    const std::span<uint8_t> row = std::span(slots).subspan(static_cast<size_t>(b) * len, len);
    padding->spec->apply(*padding, {problem, data, b, 0, 0, 0, positions, 0, 0}, {row, {}});
  }
  for (uint8_t& slot : slots) slot ^= 1;
  return {std::move(slots)};
}

/// Keys that no query of their KV head sees.
Unreal hidden_slots(const Problem& problem, const Data& data) {
  const auto len = static_cast<size_t>(problem.kv_len);
  Unreal hidden{
      std::vector<uint8_t>(static_cast<size_t>(problem.batch * problem.num_kv_heads) * len, 1),
      problem.num_kv_heads};
  std::vector<int64_t> positions(len);
  std::iota(positions.begin(), positions.end(), 0);
  std::vector<uint8_t> visible(len);
  for (int64_t b = 0; b < problem.batch; ++b)
    for (int64_t h = 0; h < problem.num_heads; ++h) {
      const int64_t row = b * problem.num_kv_heads + problem.kv_head(h);
      const std::span<uint8_t> slots =
          std::span(hidden.slots).subspan(static_cast<size_t>(row) * len, len);
      for (int64_t i = 0; i < problem.q_len; ++i) {
        std::fill(visible.begin(), visible.end(), uint8_t{1});
        mask_row({problem, data, b, h, i, query_position(problem, i), positions,
                  first_token(problem, b), 0},
                 {visible, {}});
        for (size_t j = 0; j < len; ++j) slots[j] &= static_cast<uint8_t>(visible[j] == 0);
      }
    }
  return hidden;
}

bool is_hidden(NonFinite data) {
  return data == NonFinite::nan_hidden || data == NonFinite::inf_hidden;
}

Unreal unreal_slots(const Problem& problem, const Data& data) {
  return is_hidden(data.nonfinite) ? hidden_slots(problem, data) : padded_slots(problem, data);
}

/// What lies beyond a ragged step's lens; empty where the step is not ragged.
Unreal ragged_slots(const Step& step) {
  std::vector<uint8_t> slots;
  for (const int64_t len : step.lens) {
    const int64_t before = step.side == Side::left ? step.keys() - len : 0;
    slots.insert(slots.end(), static_cast<size_t>(before), 1);
    slots.insert(slots.end(), static_cast<size_t>(len), 0);
    slots.insert(slots.end(), static_cast<size_t>(step.keys() - len - before), 1);
  }
  return {std::move(slots)};
}

/// Fills the tensors of one case.
class Maker {
 public:
  explicit Maker(const Case& c) : p_(c.problem), data_(c.data) {}

  /// A [batch, heads, len, dim] tensor in the case's layout.
  Tensor tokens(Role role, int step, int64_t heads, int64_t len, int64_t dim,
                const Unreal& unreal = {}) const {
    const Recipe recipe(data_, role, step, p_.dtype);
    const bool unit = role == Role::k && traits(p_.kind).beta;
    const double length = std::sqrt(static_cast<double>(dim));
    const std::span<const double> filler = unreal_filler();
    Tensor tensor(p_.dtype, shape_in(p_.layout, p_.batch, heads, len, dim));
    const Rows rows(p_.layout, tensor.shape);
    const int64_t bytes = info(p_.dtype).bytes;
    std::vector<double> row(static_cast<size_t>(dim));
    const bool shared = p_.strides == Strides::shared && (role == Role::k || role == Role::v);
    for (int64_t b = 0; b < p_.batch; ++b) {
      const int64_t of = shared ? 0 : b;  // the row that holds it
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t s = 0; s < len; ++s) {
          const bool real = filler.empty() || !unreal.at(b, h, s, len);
          if (real) {
            recipe.fill(of, h, s, row);
            if (unit)
              for (double& x : row) x /= length;
          } else {
            std::fill(row.begin(), row.end(), filler[0]);
          }
          take_given(data_, role, step, {of, h, s, 0}, row);
          encode(p_.dtype, row, tensor.bytes.data() + rows.index(b, h, s) * bytes);
        }
      }
    }
    return tensor;
  }

  /// A [batch, heads, len] tensor in the case's layout.
  Tensor scalars(Role role, int step, int64_t len) const {
    Tensor tensor = tokens(role, step, p_.num_kv_heads, len, 1);
    tensor.shape.pop_back();
    return tensor;
  }

  /// Memory keys or values, [num_kv_heads, memory_kv, dim].
  Tensor memory(Role role, int64_t dim) const {
    const Recipe recipe(data_, role, 0, p_.dtype);
    std::vector<double> values(static_cast<size_t>(p_.num_kv_heads * p_.memory_kv * dim));
    for (int64_t row = 0; row < p_.num_kv_heads * p_.memory_kv; ++row) {
      const std::span<double> elements =
          std::span(values).subspan(static_cast<size_t>(row * dim), static_cast<size_t>(dim));
      const int64_t h = row / p_.memory_kv, s = row % p_.memory_kv;
      recipe.fill(0, h, s, elements);
      take_given(data_, role, 0, {0, h, s, 0}, elements);
    }
    return Tensor::from_doubles(p_.dtype, {p_.num_kv_heads, p_.memory_kv, dim}, values);
  }

  /// Scales of a quantised cache: such that the largest elements of some heads are out of range.
  Tensor scales(Role role, Quant quant) const {
    const Role of = role == Role::k_scales ? Role::k : Role::v;
    const double reach = 3.5 * scale_of(data_.dist, of, p_.dtype) / largest(quant);
    std::vector<double> values;
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      const uint64_t bits = element_bits(data_.seed, tensor_number(role, 0),
                                         element_index(0, static_cast<uint64_t>(g), 0, 0));
      values.push_back(reach * (0.5 + 0.125 * static_cast<double>(bits & 7)));
      take_given(data_, role, 0, {0, g, 0, 0}, {&values.back(), 1});
    }
    return Tensor::from_doubles(DType::f32, {p_.num_kv_heads}, values);
  }

  Tensor sinks() const {
    std::vector<double> values;
    for (int64_t h = 0; h < p_.num_heads; ++h) {
      values.push_back(element(data_, Role::sinks, 0, 0, h, 0, 0, 1));
      take_given(data_, Role::sinks, 0, {0, h, 0, 0}, {&values.back(), 1});
    }
    return Tensor::from_doubles(p_.dtype, {p_.num_heads}, values);
  }

 private:
  /// What k and v hold in unreal slots, in an array of one; empty if anything.
  std::span<const double> unreal_filler() const {
    static constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    static constexpr double inf = std::numeric_limits<double>::infinity();
    switch (data_.nonfinite) {
      case NonFinite::nan_padding:
      case NonFinite::nan_hidden:
        return {&nan, 1};
      case NonFinite::inf_padding:
      case NonFinite::inf_hidden:
        return {&inf, 1};
      default:
        return {};
    }
  }

  const Problem& p_;
  const Data& data_;
};

void add_tokens(Inputs& inputs, const Case& c, int step, const std::string& suffix, int64_t q_len,
                int64_t kv_len, const Unreal& unreal) {
  const Problem& p = c.problem;
  const Maker maker(c);
  inputs.add("q" + suffix, maker.tokens(Role::q, step, p.num_heads, q_len, p.head_dim));
  if (c.cached() && c.steps[static_cast<size_t>(step)].kv_len == 0) return;
  inputs.add("k" + suffix, maker.tokens(Role::k, step, p.num_kv_heads, kv_len, p.head_dim, unreal));
  inputs.add("v" + suffix,
             maker.tokens(Role::v, step, p.num_kv_heads, kv_len, p.head_dim_v, unreal));
  const KindTraits kind = traits(p.kind);
  if (kind.gate == Gate::key)
    inputs.add("gate" + suffix, maker.tokens(Role::gate, step, p.num_kv_heads, kv_len, p.head_dim));
  if (kind.gate == Gate::head) inputs.add("gate" + suffix, maker.scalars(Role::gate, step, kv_len));
  if (kind.beta) inputs.add("beta" + suffix, maker.scalars(Role::beta, step, kv_len));
}

/// 1 for each weight that is kept.
Tensor dropout(const Problem& p, const Data& data) {
  const int64_t keys = p.memory_kv + p.kv_len;
  Tensor tensor(p.dtype, {p.batch, p.num_heads, p.q_len, keys});
  std::vector<double> row(static_cast<size_t>(keys));
  const auto bytes = static_cast<size_t>(info(p.dtype).bytes);
  std::byte* to = tensor.bytes.data();
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i, to += row.size() * bytes) {
        element_row(data, Role::dropout, 0, b, h, i, 0, keys, p.dtype, row);
        for (double& x : row) x = x < static_cast<double>(p.dropout_keep) ? 1 : 0;
        encode(p.dtype, row, to);
      }
  return tensor;
}

/// [batch, num_heads, q_len, kv_len]: what the rules that add a bias add, or 1 for each key that
/// the others let a query see. Apart: what a bias of −inf hides is for the bias alone to say. A
/// finite one that the type can't hold (ALiBi's of a key far away, in 8 bits) is the type's lowest
/// number; the bound allows for it.
Tensor mask_tensor(const Problem& p, const Data& data, bool adds_bias) {
  Problem part = p;
  std::erase_if(part.mask.rules,
                [&](const RuleUse& use) { return use.spec->adds_bias != adds_bias; });
  Tensor tensor(p.dtype, {p.batch, p.num_heads, p.q_len, p.kv_len});
  const auto kv_len = static_cast<size_t>(p.kv_len),
             row_bytes = kv_len * static_cast<size_t>(info(p.dtype).bytes);
  std::vector<int64_t> key_pos(kv_len);
  std::iota(key_pos.begin(), key_pos.end(), 0);
  std::vector<uint8_t> visible(kv_len);
  std::vector<double> values(kv_len);
  const double largest = info(p.dtype).max_finite;
  std::byte* to = tensor.bytes.data();
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i, to += row_bytes) {
        std::fill(visible.begin(), visible.end(), uint8_t{1});
        if (adds_bias) std::fill(values.begin(), values.end(), 0.0);
        mask_row({part, data, b, h, i, query_position(p, i), key_pos, first_token(part, b), 0},
                 {visible, adds_bias ? std::span(values) : std::span<double>()});
        for (size_t j = 0; j < kv_len; ++j) {
          if (!adds_bias) values[j] = visible[j];
          if (adds_bias && std::isfinite(values[j]))
            values[j] = std::clamp(values[j], -largest, largest);
        }
        encode(p.dtype, values, to);
      }
  return tensor;
}

void add_mask(Inputs& inputs, const Problem& p, const Data& data) {
  inputs.add("mask", mask_tensor(p, data, false));
  if (p.mask.adds_bias()) inputs.add("bias", mask_tensor(p, data, true));
}

}  // namespace

double element(const Data& data, Role role, int step, int64_t b, int64_t h, int64_t s, int64_t d,
               int64_t dim, DType dtype) {
  const uint64_t bits =
      element_bits(data.seed, tensor_number(role, step),
                   element_index(static_cast<uint64_t>(b), static_cast<uint64_t>(h),
                                 static_cast<uint64_t>(s), static_cast<uint64_t>(d)));
  if (is_percentage(role)) return percent_from_bits(bits);
  return Recipe(data, role, step, dtype).value(bits, s, d, dim);
}

void element_row(const Data& data, Role role, int step, int64_t b, int64_t h, int64_t s,
                 int64_t first, int64_t dim, DType dtype, std::span<double> row) {
  const Recipe recipe(data, role, step, dtype);
  const bool percentage = is_percentage(role);
  const uint64_t index = element_index(static_cast<uint64_t>(b), static_cast<uint64_t>(h),
                                       static_cast<uint64_t>(s), static_cast<uint64_t>(first));
  each_bits(data.seed, recipe.tensor, index, row.size(), [&](size_t n, uint64_t bits) {
    const int64_t d = first + static_cast<int64_t>(n);
    row[n] = percentage ? percent_from_bits(bits) : recipe.value(bits, s, d, dim);
  });
  take_given(data, role, step, {b, h, s, first}, row);
}

const Tensor* Inputs::find(std::string_view name) const {
  for (const auto& [known, tensor] : tensors_) {
    if (known == name) return &tensor;
  }
  return nullptr;
}

const Tensor& Inputs::at(std::string_view name) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) throw std::out_of_range(fmt::format("no input named {}", name));
  return *tensor;
}

void Inputs::add(std::string name, Tensor tensor) {
  tensors_.emplace_back(std::move(name), std::move(tensor));
}

void Inputs::replace(std::string_view name, Tensor tensor) {
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const auto& named) { return named.first == name; });
  if (at == tensors_.end()) throw std::logic_error("no input to replace: " + std::string(name));
  at->second = std::move(tensor);
}

Inputs make_inputs(const Case& c) {
  const Problem& p = c.problem;
  const Maker maker(c);
  Inputs inputs;
  if (c.cached()) {
    for (size_t n = 0; n < c.steps.size(); ++n) {
      const Step& step = c.steps[n];
      if (!step.has_tokens()) continue;
      add_tokens(inputs, c, static_cast<int>(n), fmt::format(".{}", n), step.q_len, step.keys(),
                 ragged_slots(step));
    }
  } else {
    add_tokens(inputs, c, 0, "", p.q_len, p.kv_len, unreal_slots(p, c.data));
    if (!p.mask.rules.empty()) add_mask(inputs, p, c.data);
    if (p.has_dropout()) inputs.add("dropout", dropout(p, c.data));
    if (p.asks_gradients())
      inputs.add("grad_out", maker.tokens(Role::grad_out, 0, p.num_heads, p.q_len, p.head_dim_v));
  }
  if (c.cached() && c.cache->scales == Scales::head) {
    inputs.add("k_scales", maker.scales(Role::k_scales, c.cache->quant));
    inputs.add("v_scales", maker.scales(Role::v_scales, c.cache->quant));
  }
  if (p.sinks) inputs.add("sinks", maker.sinks());
  if (p.memory_kv > 0) {
    inputs.add("mem_k", maker.memory(Role::mem_k, p.head_dim));
    inputs.add("mem_v", maker.memory(Role::mem_v, p.head_dim_v));
  }
  return inputs;
}

OutputSpec output_spec(const Problem& p, Output output, int64_t q_len) {
  const auto tokens = [&](int64_t heads, int64_t len, int64_t dim) {
    return shape_in(p.layout, p.batch, heads, len, dim);
  };
  switch (output) {
    case Output::out:
      return {p.dtype, tokens(p.num_heads, q_len, p.head_dim_v)};
    case Output::lse:
      return {p.dtype == DType::f64 ? DType::f64 : DType::f32, {p.batch, p.num_heads, q_len}};
    case Output::dq:
      return {p.dtype, tokens(p.num_heads, q_len, p.head_dim)};
    case Output::dk:
      return {p.dtype, tokens(p.num_kv_heads, p.kv_len, p.head_dim)};
    case Output::dv:
      return {p.dtype, tokens(p.num_kv_heads, p.kv_len, p.head_dim_v)};
    case Output::dbias:
      return {p.dtype, {p.batch, p.num_heads, q_len, p.kv_len}};
    case Output::dsinks:
      return {p.dtype, {p.num_heads}};
    case Output::dmem_k:
      return {p.dtype, {p.num_kv_heads, p.memory_kv, p.head_dim}};
    case Output::dmem_v:
      break;
  }
  return {p.dtype, {p.num_kv_heads, p.memory_kv, p.head_dim_v}};
}

Shape shape_in(Layout layout, int64_t batch, int64_t heads, int64_t len, int64_t dim) {
  return layout == Layout::bhsd ? Shape{batch, heads, len, dim} : Shape{batch, len, heads, dim};
}

}  // namespace attnfuzz
