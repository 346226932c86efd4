#pragma once
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <vector>

#include "oracle/tensor.h"

/// The little of PyTorch's tensor arithmetic that the specimens need: f32, dense, row-major, with
/// its broadcasting rules and its own words when sizes do not fit. The specimens' documented error
/// texts come out of these checks with whatever sizes a case has; none of them is spelt there.
namespace attnfuzz::torch_like {

/// RuntimeError, TypeError or ValueError of PyTorch; what() is the text without the class.
class TorchError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Array {
  Shape shape;
  std::vector<float> values;

  Array() = default;
  explicit Array(Shape sizes, float fill = 0);
  int64_t dim() const { return static_cast<int64_t>(shape.size()); }
  int64_t size(int64_t axis) const;  ///< negative axes count from the end
};

/// a (op) b with broadcasting. Throws "The size of tensor a (8) must match the size of tensor b (2)
/// at non-singleton dimension 0".
Array elementwise(const Array& a, const Array& b, float (*op)(float, float));

/// torch.Tensor.expand. Throws "The expanded size of the tensor (5) must match the existing size
/// (8) at non-singleton dimension 2.  Target sizes: …".
Array expand(const Array& a, const Shape& sizes);

/// torch.cat. Throws "Sizes of tensors must match except in dimension 2. Expected size 4 but got
/// size 1 for tensor number 1 in the list."
Array cat(const std::vector<Array>& arrays, int64_t axis);

/// torch.nn.functional.pad of the last axis by (before, after) elements of `value`. None stands for
/// Python's None and throws "pad(): argument 'pad' failed to unpack the object at pos 2 …".
Array pad(const Array& a, std::initializer_list<std::optional<int64_t>> amounts, float value = 0);

/// a with an axis of size 1 put in before `axis`.
Array unsqueeze(Array a, int64_t axis);

/// a with two axes exchanged, copied to row-major order.
Array transpose(const Array& a, int64_t first, int64_t second);

/// Each slice of `axis` `times` times: a a b b (torch.repeat_interleave), or as a whole: a b a b
/// (torch.Tensor.repeat, einops "h -> (r h)").
Array repeat_interleave(const Array& a, int64_t axis, int64_t times);
Array repeat(const Array& a, int64_t axis, int64_t times);

/// torch.Tensor.index_select: slice i of the result is slice indices[i] of a.
Array index_select(const Array& a, int64_t axis, const std::vector<int64_t>& indices);

/// a[…, begin:end, …] on `axis`, with Python's clamping of the ends.
Array slice(const Array& a, int64_t axis, int64_t begin, int64_t end);

/// a[…, begin:end, …] = source: the ends are clamped, then the source is expanded to the slice.
void assign_slice(Array& a, int64_t axis, int64_t begin, int64_t end, const Array& source);

}  // namespace attnfuzz::torch_like
