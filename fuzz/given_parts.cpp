#include "fuzz/given_parts.h"

#include <algorithm>
#include <optional>

#include "oracle/given.h"

namespace attnfuzz {
namespace {

constexpr uint32_t roles_per_step = 16;  // as in tensor_number()

/// The place of a problem's axis among a tensor's four, and how many places come before its first.
struct AxisPlace {
  size_t axis;
  int64_t before = 0;
};

bool in(Role role, std::initializer_list<Role> roles) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

std::optional<AxisPlace> place_of(CaseAxis axis, Role role, const Problem& problem) {
  const bool by_query = in(role, {Role::q, Role::mask, Role::bias, Role::dropout, Role::grad_out});
  const bool by_key = in(role, {Role::k, Role::v, Role::gate, Role::beta});
  switch (axis) {
    case CaseAxis::batch:
      return by_query || by_key ? std::optional(AxisPlace{0}) : std::nullopt;
    case CaseAxis::heads:
      return by_query || role == Role::sinks ? std::optional(AxisPlace{1}) : std::nullopt;
    case CaseAxis::kv_heads:
      return by_key || in(role, {Role::mem_k, Role::mem_v, Role::k_scales, Role::v_scales})
                 ? std::optional(AxisPlace{1})
                 : std::nullopt;
    case CaseAxis::queries:
      return by_query ? std::optional(AxisPlace{2}) : std::nullopt;
    case CaseAxis::keys:
      if (by_key) return AxisPlace{2};
      if (in(role, {Role::mask, Role::bias})) return AxisPlace{3};
      return role == Role::dropout ? std::optional(AxisPlace{3, problem.memory_kv}) : std::nullopt;
    case CaseAxis::dim:
      return in(role, {Role::q, Role::k, Role::mem_k, Role::gate}) ? std::optional(AxisPlace{3})
                                                                   : std::nullopt;
    case CaseAxis::dim_v:
      return in(role, {Role::v, Role::mem_v, Role::grad_out}) ? std::optional(AxisPlace{3})
                                                              : std::nullopt;
  }
  return {};
}

/// These places of one axis.
Tensor gathered(const Tensor& tensor, size_t axis, const std::vector<int64_t>& kept) {
  int64_t outer = 1, inner = info(tensor.dtype).bytes;
  for (size_t k = 0; k < axis; ++k) outer *= tensor.shape[k];
  for (size_t k = axis + 1; k < tensor.shape.size(); ++k) inner *= tensor.shape[k];
  Shape shape = tensor.shape;
  shape[axis] = static_cast<int64_t>(kept.size());
  Tensor made(tensor.dtype, shape);
  auto to = made.bytes.begin();
  for (int64_t n = 0; n < outer; ++n)
    for (const int64_t place : kept)
      to = std::copy_n(tensor.bytes.begin() + (n * tensor.shape[axis] + place) * inner, inner, to);
  return made;
}

}  // namespace

Data with_places(const Problem& problem, Data data, CaseAxis axis,
                 const std::vector<int64_t>& kept) {
  if (data.given == nullptr) return data;
  Given fewer;
  for (const auto& [number, tensor] : data.given->tensors) {
    const auto role = static_cast<Role>(number % roles_per_step);
    const std::optional<AxisPlace> at = place_of(axis, role, problem);
    const bool broadcast =
        at && at->axis < 2 && in(role, {Role::mask, Role::bias}) && tensor.shape[at->axis] == 1;
    const bool has_axis = at && !broadcast &&
                          !(role == Role::gate && axis == CaseAxis::dim && tensor.shape[3] == 1 &&
                            problem.head_dim > 1);
    if (!has_axis) {
      fewer.tensors.emplace(number, tensor);
      continue;
    }
    std::vector<int64_t> places;
    for (int64_t k = 0; k < std::min(at->before, tensor.shape[at->axis]); ++k) places.push_back(k);
    for (const int64_t place : kept)
      if (at->before + place < tensor.shape[at->axis]) places.push_back(at->before + place);
    fewer.tensors.emplace(number, gathered(tensor, at->axis, places));
  }
  data.given = std::make_shared<const Given>(std::move(fewer));
  return data;
}

}  // namespace attnfuzz
