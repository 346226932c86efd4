#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "oracle/dtype.h"

namespace attnfuzz {

using Shape = std::vector<int64_t>;

int64_t element_count(const Shape& shape);
std::string to_string(const Shape& shape);  ///< "[2, 4, 8, 16]"

/// A dense, contiguous, row-major tensor that owns its elements.
struct Tensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;

  Tensor() = default;
  Tensor(DType dtype, Shape shape);  ///< zeros
  /// The elements held: none before a shape is given.
  int64_t size() const { return static_cast<int64_t>(bytes.size()) / info(dtype).bytes; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  std::vector<double> to_doubles() const;
  static Tensor from_doubles(DType dtype, Shape shape, const std::vector<double>& values);
  bool operator==(const Tensor&) const = default;  ///< by bits
};

}  // namespace attnfuzz
