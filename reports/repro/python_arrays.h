#pragma once
#include <string>

#include "oracle/inputs.h"

/// Tensors as NumPy expressions.
namespace attnfuzz::python {

/// "np.float32"; bf16, which NumPy lacks, is held in float32, where its values are exact.
std::string_view numpy_type(DType dtype);

/// "np.array([…], np.float32).reshape(2, 4)" where it is small, normal_tensor() of the repro where
/// that gives the same bits, else the raw bytes. A `brief` script, which should be short, has the
/// raw bytes of more. `tensor` lies in logical order.
std::string array(const Tensor& tensor, const Case& c, Role role, int step = 0, bool brief = false);

/// A boolean mask as rows of 0 and 1; axes along which it does not change have size 1.
std::string mask(const Tensor& mask);

/// The definition of normal_tensor(): targets/python/attnfuzz_normal.py, embedded by CMake.
std::string normal_function();
extern const std::string_view attnfuzz_normal_py;

/// [batch, heads, …] with a size of 1 where all of the axis are equal.
Tensor broadcastable(const Tensor& tensor);

/// [batch, heads, len, dim] from the case's layout.
Tensor logical(const Tensor& tensor, Layout layout);

}  // namespace attnfuzz::python
