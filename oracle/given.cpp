#include "oracle/given.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "oracle/element_row.h"
#include "oracle/linear/kinds.h"
#include "oracle/masks/rule.h"

namespace attnfuzz {
namespace {

bool is_mask(Role role) {
  return role == Role::mask || role == Role::dropout;
}

/// The place on the four axes of each axis that a role's tensor has in a file.
std::vector<size_t> axes_of(Role role, size_t rank, Layout layout) {
  switch (role) {
    case Role::sinks:
    case Role::k_scales:
    case Role::v_scales:
      return {1};
    case Role::mem_k:
    case Role::mem_v:
      return {1, 2, 3};
    case Role::mask:
    case Role::bias:
    case Role::dropout:
      return {0, 1, 2, 3};
    default: {
      std::vector<size_t> axes{0, 1, 2, 3};
      if (layout == Layout::bshd) std::swap(axes[1], axes[2]);
      axes.resize(rank);
      return axes;
    }
  }
}

/// A tensor's axes in another order: axis k of the result is `from[k]` of it; −1: a new one of
/// size 1.
Tensor with_axes(const Tensor& tensor, const std::vector<int>& from) {
  const size_t rank = tensor.shape.size();
  std::vector<int64_t> strides(rank, 1);
  for (size_t k = rank; k-- > 1;) strides[k - 1] = strides[k] * tensor.shape[k];
  Shape shape, steps;
  for (const int axis : from) {
    shape.push_back(axis < 0 ? 1 : tensor.shape[static_cast<size_t>(axis)]);
    steps.push_back(axis < 0 ? 0 : strides[static_cast<size_t>(axis)]);
  }
  Tensor turned(tensor.dtype, shape);
  const auto bytes = static_cast<size_t>(info(tensor.dtype).bytes);
  std::vector<int64_t> place(shape.size(), 0);
  for (size_t at = 0; at < turned.bytes.size(); at += bytes) {
    const int64_t source =
        std::inner_product(place.begin(), place.end(), steps.begin(), int64_t{0});
    std::copy_n(tensor.bytes.begin() + source * static_cast<int64_t>(bytes), bytes,
                turned.bytes.begin() + static_cast<std::ptrdiff_t>(at));
    for (size_t k = place.size(); k-- > 0;) {
      if (++place[k] < shape[k]) break;
      place[k] = 0;
    }
  }
  return turned;
}

/// From a file's axes to b, h, s, d.
Tensor to_places(const Tensor& tensor, const GivenSpec& spec, Layout layout) {
  const std::vector<size_t> axes = axes_of(spec.role, tensor.shape.size(), layout);
  std::vector<int> from(4, -1);
  for (size_t k = 0; k < axes.size(); ++k) from[axes[k]] = static_cast<int>(k);
  return with_axes(tensor, from);
}

/// What the rule's own tensor is of a query row's elements.
class RuleTensor {
 public:
  RuleTensor(const Case& c, Role role) : c_(c), role_(role) {}

  Tensor tensor(const GivenSpec& spec) const {
    Tensor made(spec.dtype, spec.shape);
    std::vector<double> row(static_cast<size_t>(spec.shape[3]));
    const size_t bytes = row.size() * static_cast<size_t>(info(spec.dtype).bytes);
    std::byte* to = made.bytes.data();
    for (int64_t b = 0; b < spec.shape[0]; ++b)
      for (int64_t h = 0; h < spec.shape[1]; ++h)
        for (int64_t i = 0; i < spec.shape[2]; ++i, to += bytes) {
          element_row(c_.data, role_, 0, b, h, i, 0, spec.shape[3], c_.problem.dtype, row);
          if (role_ == Role::mask)
            for (double& x : row) x = x < keep() ? 1 : 0;
          encode(spec.dtype, row, to);
        }
    return made;
  }

 private:
  double keep() const {
    return static_cast<double>(c_.problem.mask.find("boolean")->integer("keep"));
  }

  const Case& c_;
  Role role_;
};

void add_mask_specs(std::vector<GivenSpec>& specs, const Problem& p) {
  const struct {
    const char* rule;
    const char* name;
    Role role;
    bool boolean;
  } table[] = {{"boolean", "mask", Role::mask, true}, {"bias", "bias", Role::bias, false}};
  for (const auto& [rule, name, role, boolean] : table) {
    const RuleUse* use = p.mask.find(rule);
    if (use == nullptr) continue;
    const auto axes = static_cast<uint64_t>(use->integer("shape"));
    specs.push_back(
        {name,
         role,
         0,
         boolean,
         boolean ? DType::e4m3 : p.dtype,
         {(axes & 1) != 0 ? p.batch : std::min<int64_t>(p.batch, 1),
          (axes & 2) != 0 ? p.num_heads : std::min<int64_t>(p.num_heads, 1), p.q_len, p.kv_len}});
  }
}

void add_token_specs(std::vector<GivenSpec>& specs, const Case& c, int step, int64_t q_len,
                     int64_t kv_len) {
  const Problem& p = c.problem;
  const std::string suffix = c.cached() ? fmt::format(".{}", step) : "";
  const auto add = [&](const char* name, Role role, int64_t heads, int64_t len, int64_t dim) {
    Shape shape = shape_in(p.layout, p.batch, heads, len, dim);
    if (dim == 0) shape.pop_back();
    specs.push_back({name + suffix, role, step, false, p.dtype, std::move(shape)});
  };
  add("q", Role::q, p.num_heads, q_len, p.head_dim);
  if (c.cached() && c.steps[static_cast<size_t>(step)].kv_len == 0) return;
  add("k", Role::k, p.num_kv_heads, kv_len, p.head_dim);
  add("v", Role::v, p.num_kv_heads, kv_len, p.head_dim_v);
  const KindTraits kind = traits(p.kind);
  if (kind.gate == Gate::key) add("gate", Role::gate, p.num_kv_heads, kv_len, p.head_dim);
  if (kind.gate == Gate::head) add("gate", Role::gate, p.num_kv_heads, kv_len, 0);
  if (kind.beta) add("beta", Role::beta, p.num_kv_heads, kv_len, 0);
}

bool all_finite(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

/// The numbers that a role may not have, in words; empty if it has none of them.
std::string forbidden(Role role, const std::vector<double>& values, const Problem& p) {
  const auto any = [&](const auto& is) { return std::any_of(values.begin(), values.end(), is); };
  switch (role) {
    case Role::bias:
      if (any([](double x) { return std::isnan(x) || x == HUGE_VAL; }))
        return "expected finite numbers and -inf, which hides a key, found NaN or +inf";
      return p.bias_order == BiasOrder::before_softcap && !all_finite(values)
                 ? "expected finite numbers with the bias_order \"before_softcap\""
                 : "";
    case Role::gate:
      return any([](double x) { return !(x <= 0) || std::isinf(x); })
                 ? "expected the logarithms of decays, finite and at most 0"
                 : "";
    case Role::k_scales:
    case Role::v_scales:
      return any([](double x) { return !(x > 0) || std::isinf(x); }) ? "expected scales above 0"
                                                                     : "";
    case Role::sinks:
    case Role::beta:
      return all_finite(values) ? "" : "expected finite numbers";
    default:
      return "";
  }
}

}  // namespace

bool Data::operator==(const Data& other) const {
  if (seed != other.seed || dist != other.dist || nonfinite != other.nonfinite) return false;
  if (given == other.given) return true;
  return given != nullptr && other.given != nullptr && *given == *other.given;
}

std::vector<GivenSpec> given_specs(const Case& c) {
  const Problem& p = c.problem;
  std::vector<GivenSpec> specs;
  const auto add = [&](const char* name, Role role, Shape shape, DType dtype, bool boolean) {
    specs.push_back({name, role, 0, boolean, dtype, std::move(shape)});
  };
  if (c.cached()) {
    for (size_t n = 0; n < c.steps.size(); ++n)
      if (c.steps[n].has_tokens())
        add_token_specs(specs, c, static_cast<int>(n), c.steps[n].q_len, c.steps[n].keys());
  } else {
    add_token_specs(specs, c, 0, p.q_len, p.kv_len);
    add_mask_specs(specs, p);
    if (p.has_dropout())
      add("dropout", Role::dropout, {p.batch, p.num_heads, p.q_len, p.memory_kv + p.kv_len},
          DType::e4m3, true);
    if (p.asks_gradients())
      add("grad_out", Role::grad_out,
          shape_in(p.layout, p.batch, p.num_heads, p.q_len, p.head_dim_v), p.dtype, false);
  }
  if (c.cached() && c.cache->scales == Scales::head) {
    add("k_scales", Role::k_scales, {p.num_kv_heads}, DType::f32, false);
    add("v_scales", Role::v_scales, {p.num_kv_heads}, DType::f32, false);
  }
  if (p.sinks) add("sinks", Role::sinks, {p.num_heads}, p.dtype, false);
  if (p.memory_kv > 0) {
    add("mem_k", Role::mem_k, {p.num_kv_heads, p.memory_kv, p.head_dim}, p.dtype, false);
    add("mem_v", Role::mem_v, {p.num_kv_heads, p.memory_kv, p.head_dim_v}, p.dtype, false);
  }
  return specs;
}

Shape place_sizes(const GivenSpec& spec, Layout layout) {
  const std::vector<size_t> axes = axes_of(spec.role, spec.shape.size(), layout);
  Shape sizes(4, 1);
  for (size_t k = 0; k < axes.size(); ++k) sizes[axes[k]] = spec.shape[k];
  return sizes;
}

void take_given(const Data& data, Role role, int step, const Place& first, std::span<double> row) {
  if (data.given == nullptr) return;
  const auto found = data.given->tensors.find(tensor_number(role, step));
  if (found == data.given->tensors.end()) return;
  const Tensor& tensor = found->second;
  for (size_t k = 0; k < 4; ++k)
    if (first[k] < 0 || first[k] >= tensor.shape[k]) return;
  const Shape& sizes = tensor.shape;
  const int64_t at = ((first[0] * sizes[1] + first[1]) * sizes[2] + first[2]) * sizes[3] + first[3];
  const std::span<double> there = row.first(
      static_cast<size_t>(std::min(static_cast<int64_t>(row.size()), sizes[3] - first[3])));
  decode(tensor.dtype, tensor.bytes.data() + at * info(tensor.dtype).bytes, there);
  if (is_mask(role))
    for (double& x : there) x = x != 0 ? -1 : 100;
}

std::vector<Tensor> given_tensors(const Case& c) {
  const Inputs inputs = make_inputs(c);
  std::vector<Tensor> tensors;
  for (const GivenSpec& spec : given_specs(c)) {
    if (spec.role == Role::mask || spec.role == Role::bias) {
      tensors.push_back(RuleTensor(c, spec.role).tensor(spec));
    } else {
      const Tensor& made = inputs.at(spec.name);
      tensors.push_back(made.dtype == spec.dtype
                            ? made
                            : Tensor::from_doubles(spec.dtype, made.shape, made.to_doubles()));
    }
  }
  return tensors;
}

Data given_data(const Case& c, const std::vector<Tensor>& tensors, const std::string& where,
                const std::string& path) {
  const std::vector<GivenSpec> specs = given_specs(c);
  Data data;
  Given given;
  for (size_t k = 0; k < specs.size(); ++k) {
    const std::vector<double> values = tensors[k].to_doubles();
    if (const std::string wrong = forbidden(specs[k].role, values, c.problem); !wrong.empty())
      throw InputError(where, path + "/" + specs[k].name, wrong);
    if (specs[k].role == Role::bias && !all_finite(values))
      data.nonfinite = NonFinite::inf_bias;
    else if (data.nonfinite == NonFinite::none && !all_finite(values))
      data.nonfinite = NonFinite::inf_value;
    given.tensors.emplace(tensor_number(specs[k].role, specs[k].step),
                          to_places(tensors[k], specs[k], c.problem.layout));
  }
  data.given = std::make_shared<const Given>(std::move(given));
  return data;
}

Case with_generated_data(Case c) {
  c.data = Data{};
  return c;
}

}  // namespace attnfuzz
