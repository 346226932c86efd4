#include "oracle/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <numeric>
#include <stdexcept>

namespace attnfuzz {

int64_t element_count(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Tensor::Tensor(DType type, Shape sizes)
    : dtype(type),
      shape(std::move(sizes)),
      bytes(static_cast<size_t>(element_count(shape) * info(type).bytes)) {}

std::vector<double> Tensor::to_doubles() const {
  // A tensor that was never given has the shape of a scalar, and no element.
  std::vector<double> values(bytes.empty() ? 0 : static_cast<size_t>(size()));
  decode(dtype, bytes.data(), values);
  return values;
}

Tensor Tensor::from_doubles(DType dtype, Shape shape, const std::vector<double>& values) {
  Tensor tensor(dtype, std::move(shape));
  if (static_cast<int64_t>(values.size()) != tensor.size()) {
    throw std::invalid_argument(
        fmt::format("{} values for a tensor of shape {}", values.size(), to_string(tensor.shape)));
  }
  encode(dtype, values, tensor.bytes.data());
  return tensor;
}

}  // namespace attnfuzz
