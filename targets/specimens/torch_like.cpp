#include "targets/specimens/torch_like.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnfuzz::torch_like {
namespace {

int64_t axis_of(const Array& a, int64_t axis) {
  return axis < 0 ? axis + a.dim() : axis;
}

/// a seen as [outer, shape[axis], inner].
struct Blocks {
  int64_t outer = 1, inner = 1;
  Blocks(const Shape& shape, int64_t axis) {
    for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i)
      (i < axis ? outer : inner) *= i == axis ? 1 : shape[static_cast<size_t>(i)];
  }
};

/// A copy of a whose `axis` has `size` slices; slice i of the result is slice from(i) of a.
template <class From>
Array gather(const Array& a, int64_t axis, int64_t size, From from) {
  axis = axis_of(a, axis);
  const int64_t old_size = a.size(axis);
  const Blocks blocks(a.shape, axis);
  Array out;
  out.shape = a.shape;
  out.shape[static_cast<size_t>(axis)] = size;
  out.values.reserve(static_cast<size_t>(element_count(out.shape)));
  for (int64_t o = 0; o < blocks.outer; ++o)
    for (int64_t i = 0; i < size; ++i) {
      const auto begin = a.values.begin() + (o * old_size + from(i)) * blocks.inner;
      out.values.insert(out.values.end(), begin, begin + blocks.inner);
    }
  return out;
}

struct Range {
  int64_t begin, end;
};

/// Python's slice begin:end on an axis of `size`.
Range clamp(int64_t begin, int64_t end, int64_t size) {
  begin = std::clamp<int64_t>(begin, 0, size);
  return {begin, std::clamp(end, begin, size)};
}

}  // namespace

Array::Array(Shape sizes, float fill)
    : shape(std::move(sizes)), values(static_cast<size_t>(element_count(shape)), fill) {}

int64_t Array::size(int64_t axis) const {
  return shape.at(static_cast<size_t>(axis < 0 ? axis + dim() : axis));
}

Array elementwise(const Array& a, const Array& b, float (*op)(float, float)) {
  const int64_t dims = std::max(a.dim(), b.dim());
  Shape sizes(static_cast<size_t>(dims));
  for (int64_t i = dims - 1; i >= 0; --i) {
    const int64_t in_a = i - dims + a.dim(), in_b = i - dims + b.dim();
    const int64_t size_a = in_a < 0 ? 1 : a.size(in_a), size_b = in_b < 0 ? 1 : b.size(in_b);
    if (size_a != size_b && size_a != 1 && size_b != 1)
      throw TorchError(
          fmt::format("The size of tensor a ({}) must match the size of tensor b ({}) at "
                      "non-singleton dimension {}",
                      size_a, size_b, i));
    sizes[static_cast<size_t>(i)] = size_a == 1 ? size_b : size_a;
  }
  Array out = expand(a, sizes);
  const Array other = expand(b, sizes);
  for (size_t i = 0; i < out.values.size(); ++i) out.values[i] = op(out.values[i], other.values[i]);
  return out;
}

Array expand(const Array& a, const Shape& sizes) {
  const auto dims = static_cast<int64_t>(sizes.size());
  if (dims < a.dim())
    throw TorchError(
        fmt::format("expand(torch.FloatTensor{{{}}}, size={}): the number of sizes provided ({}) "
                    "must be greater or equal to the number of dimensions in the tensor ({})",
                    to_string(a.shape), to_string(sizes), dims, a.dim()));
  Array out = a;
  out.shape.insert(out.shape.begin(), static_cast<size_t>(dims - a.dim()), 1);
  for (int64_t i = dims - 1; i >= 0; --i) {
    const int64_t have = out.size(i), want = sizes[static_cast<size_t>(i)];
    if (have == want) continue;
    if (have != 1)
      throw TorchError(
          fmt::format("The expanded size of the tensor ({}) must match the existing size ({}) at "
                      "non-singleton dimension {}.  Target sizes: {}.  Tensor sizes: {}",
                      want, have, i, to_string(sizes), to_string(a.shape)));
    out = gather(out, i, want, [](int64_t) { return 0; });
  }
  return out;
}

Array cat(const std::vector<Array>& arrays, int64_t axis) {
  const Array& first = arrays.at(0);
  axis = axis_of(first, axis);
  Shape sizes = first.shape;
  for (size_t n = 1; n < arrays.size(); ++n) {
    for (int64_t i = 0; i < first.dim(); ++i)
      if (i != axis && arrays[n].size(i) != first.size(i))
        throw TorchError(
            fmt::format("Sizes of tensors must match except in dimension {}. Expected size {} but "
                        "got size {} for tensor number {} in the list.",
                        axis, first.size(i), arrays[n].size(i), n));
    sizes[static_cast<size_t>(axis)] += arrays[n].size(axis);
  }
  Array out(sizes);
  int64_t begin = 0;
  for (const Array& a : arrays) {
    assign_slice(out, axis, begin, begin + a.size(axis), a);
    begin += a.size(axis);
  }
  return out;
}

Array pad(const Array& a, std::initializer_list<std::optional<int64_t>> amounts, float value) {
  std::vector<int64_t> known;
  for (const std::optional<int64_t>& amount : amounts) {
    if (!amount && known.empty())  // the parser looks at the first element before it unpacks
      throw TorchError(
          "pad(): argument 'pad' (position 2) must be tuple of ints, but found element of type "
          "NoneType at pos 0");
    if (!amount)
      throw TorchError(
          fmt::format("pad(): argument 'pad' failed to unpack the object at pos {} with error "
                      "\"type must be tuple of ints,but got NoneType\"",
                      known.size() + 1));
    known.push_back(*amount);
  }
  Shape sizes = a.shape;
  sizes.back() += known.at(0) + known.at(1);
  Array out(sizes, value);
  assign_slice(out, -1, known[0], known[0] + a.size(-1), a);
  return out;
}

Array unsqueeze(Array a, int64_t axis) {
  a.shape.insert(a.shape.begin() + axis, 1);
  return a;
}

Array transpose(const Array& a, int64_t first, int64_t second) {
  Shape stride(a.shape.size(), 1);
  for (size_t i = a.shape.size() - 1; i > 0; --i) stride[i - 1] = stride[i] * a.shape[i];
  Array out(a.shape);
  std::swap(out.shape[static_cast<size_t>(first)], out.shape[static_cast<size_t>(second)]);
  std::swap(stride[static_cast<size_t>(first)], stride[static_cast<size_t>(second)]);
  for (size_t n = 0; n < out.values.size(); ++n) {
    auto rest = static_cast<int64_t>(n);
    int64_t from = 0;
    for (size_t i = out.shape.size(); i-- > 0; rest /= out.shape[i])
      from += rest % out.shape[i] * stride[i];
    out.values[n] = a.values[static_cast<size_t>(from)];
  }
  return out;
}

Array repeat_interleave(const Array& a, int64_t axis, int64_t times) {
  return gather(a, axis, a.size(axis) * times, [times](int64_t i) { return i / times; });
}

Array repeat(const Array& a, int64_t axis, int64_t times) {
  const int64_t size = a.size(axis);
  return gather(a, axis, size * times, [size](int64_t i) { return i % size; });
}

Array index_select(const Array& a, int64_t axis, const std::vector<int64_t>& indices) {
  return gather(a, axis, static_cast<int64_t>(indices.size()),
                [&](int64_t i) { return indices[static_cast<size_t>(i)]; });
}

Array slice(const Array& a, int64_t axis, int64_t begin, int64_t end) {
  const Range range = clamp(begin, end, a.size(axis));
  return gather(a, axis, range.end - range.begin, [&](int64_t i) { return range.begin + i; });
}

void assign_slice(Array& a, int64_t axis, int64_t begin, int64_t end, const Array& source) {
  axis = axis_of(a, axis);
  const Range range = clamp(begin, end, a.size(axis));
  Shape sizes = a.shape;
  sizes[static_cast<size_t>(axis)] = range.end - range.begin;
  const Array from = expand(source, sizes);
  const Blocks blocks(a.shape, axis);
  const int64_t run = (range.end - range.begin) * blocks.inner;
  for (int64_t o = 0; o < blocks.outer; ++o)
    std::copy_n(from.values.begin() + o * run, run,
                a.values.begin() + (o * a.size(axis) + range.begin) * blocks.inner);
}

}  // namespace attnfuzz::torch_like
