#pragma once
#include <cstdint>
#include <span>

#include "oracle/case.h"
#include "oracle/tensor.h"

namespace attnfuzz {

/// Where the rows of a [batch, heads, len, dim] tensor lie, in either layout. One without a dim has
/// rows of one element.
class Rows {
 public:
  Rows(Layout layout, const Shape& shape)
      : heads_first_(layout == Layout::bhsd),
        heads_(shape[heads_first_ ? 1 : 2]),
        len_(shape[heads_first_ ? 2 : 1]),
        dim_(shape.size() > 3 ? shape[3] : 1) {}

  /// Of element 0.
  int64_t index(int64_t b, int64_t h, int64_t s) const {
    return (heads_first_ ? (b * heads_ + h) * len_ + s : (b * len_ + s) * heads_ + h) * dim_;
  }

 private:
  bool heads_first_;
  int64_t heads_, len_, dim_;
};

/// A tensor read row by row.
struct Source {
  const Tensor* tensor;
  Rows rows;

  Source(Layout layout, const Tensor& of) : tensor(&of), rows(layout, of.shape) {}
  void read(int64_t b, int64_t h, int64_t s, std::span<double> to) const {
    decode(tensor->dtype, tensor->bytes.data() + rows.index(b, h, s) * info(tensor->dtype).bytes,
           to);
  }
};

}  // namespace attnfuzz
