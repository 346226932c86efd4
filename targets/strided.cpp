#include "targets/strided.h"

#include <algorithm>
#include <cstring>

#include "oracle/rows.h"

namespace attnfuzz {
namespace {

constexpr std::string_view strided_inputs[] = {"q", "k", "v"};
constexpr double filler = -3;

Shape sizes_of(const Problem& p, std::string_view input) {
  const bool query = input == "q";
  return {p.batch, query ? p.num_heads : p.num_kv_heads, query ? p.q_len : p.kv_len,
          input == "v" ? p.head_dim_v : p.head_dim};
}

/// Places of the axes, the slowest first, in the order in which they lie.
using Order = std::array<size_t, 4>;
Order order_of(const Problem& p) {
  if (p.strides == Strides::transposed) return {0, 1, 3, 2};
  return p.layout == Layout::bhsd ? Order{0, 1, 2, 3} : Order{0, 2, 1, 3};
}

/// With so many elements unused behind the fastest axis, the next one and the one after that.
StridedShape in_order(const Shape& sizes, const Order& order, const std::array<int64_t, 3>& gaps,
                      int64_t base) {
  StridedShape shape{sizes, {}, base, 0};
  int64_t stride = 1;
  for (size_t n = order.size(); n-- > 0;) {
    shape.strides[order[n]] = stride;
    stride = stride * sizes[order[n]] + (n > 0 ? gaps[3 - n] : 0);
  }
  shape.size = base + stride;
  return shape;
}

StridedShape in_one_buffer(const Problem& p, std::string_view input) {
  const int64_t token = (p.num_heads + 2 * p.num_kv_heads) * p.head_dim;
  const int64_t heads_before = input == "q"   ? 0
                               : input == "k" ? p.num_heads
                                              : p.num_heads + p.num_kv_heads;
  return {sizes_of(p, input),
          {p.kv_len * token, p.head_dim, token, 1},
          heads_before * p.head_dim,
          p.batch * p.kv_len * token};
}

/// Writes a tensor's elements to where they lie.
void put(Layout layout, const Tensor& tensor, const StridedShape& shape,
         std::vector<std::byte>& memory) {
  const Rows rows(layout, tensor.shape);
  const auto bytes = static_cast<size_t>(info(tensor.dtype).bytes);
  const auto [batch, heads, len, dim] =
      std::array{shape.sizes[0], shape.sizes[1], shape.sizes[2], shape.sizes[3]};
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t s = 0; s < len; ++s)
        for (int64_t d = 0; d < dim; ++d)
          std::memcpy(memory.data() + static_cast<size_t>(shape.at(b, h, s, d)) * bytes,
                      tensor.bytes.data() + static_cast<size_t>(rows.index(b, h, s) + d) * bytes,
                      bytes);
}

/// The tensor that is read from memory by this shape.
Tensor gathered(const Problem& p, const Tensor& like, const StridedShape& shape,
                const std::vector<std::byte>& memory) {
  Tensor tensor(like.dtype, like.shape);
  const Rows rows(p.layout, like.shape);
  const int64_t bytes = info(like.dtype).bytes;
  const auto size = static_cast<int64_t>(memory.size()) / bytes;
  for (int64_t b = 0; b < shape.sizes[0]; ++b)
    for (int64_t h = 0; h < shape.sizes[1]; ++h)
      for (int64_t s = 0; s < shape.sizes[2]; ++s)
        for (int64_t d = 0; d < shape.sizes[3]; ++d) {
          const int64_t from = shape.at(b, h, s, d);
          std::byte* to = tensor.bytes.data() + (rows.index(b, h, s) + d) * bytes;
          if (from >= 0 && from < size)
            std::memcpy(to, memory.data() + from * bytes, static_cast<size_t>(bytes));
          else
            std::memset(to, 0xFF, static_cast<size_t>(bytes));
        }
  return tensor;
}

}  // namespace

bool has_strides(std::string_view input) {
  return std::find(std::begin(strided_inputs), std::end(strided_inputs), input) !=
         std::end(strided_inputs);
}

StridedShape strided_shape(const Problem& p, std::string_view input) {
  const Shape sizes = sizes_of(p, input);
  switch (p.strides) {
    case Strides::gaps:
      return in_order(sizes, order_of(p), {3, 2, 5}, 1);
    case Strides::fused:
      return in_one_buffer(p, input);
    case Strides::shared: {
      StridedShape shape = in_order(sizes, order_of(p), {}, 0);
      if (input == "q" || p.batch == 0) return shape;
      shape.size /= p.batch;
      shape.strides[0] = 0;
      return shape;
    }
    default:
      return in_order(sizes, order_of(p), {}, 0);
  }
}

std::vector<std::byte> lay_out(const Problem& p, std::string_view input, const Inputs& inputs) {
  const StridedShape shape = strided_shape(p, input);
  const Tensor& tensor = inputs.at(input);
  const std::vector<double> fill(static_cast<size_t>(shape.size), filler);
  std::vector<std::byte> memory(fill.size() * static_cast<size_t>(info(tensor.dtype).bytes));
  encode(tensor.dtype, fill, memory.data());
  for (const std::string_view each : strided_inputs)
    if (each == input || p.strides == Strides::fused)
      put(p.layout, inputs.at(each), strided_shape(p, each), memory);
  return memory;
}

Inputs read_as(const Problem& p, const Inputs& inputs, TakenShape as) {
  Inputs read;
  for (const auto& [name, tensor] : inputs.all())
    read.add(name, has_strides(name) ? gathered(p, tensor, as(p, name), lay_out(p, name, inputs))
                                     : tensor);
  return read;
}

}  // namespace attnfuzz
