#pragma once
#include <string>
#include <string_view>

#include "targets/target.h"

namespace attnfuzz {

/// What the built-in CPU targets share: their data, and that they decline what they don't claim.
class CpuTarget : public Target {
 public:
  CpuTarget(std::string name, std::string about, std::string_view capabilities);
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override;

 private:
  virtual Outcome compute(const Case& c, const Inputs& inputs) = 0;
  TargetInfo info_;
};

/// Elements of a [batch, heads, len, dim] tensor in either layout.
template <class T>
struct View {
  T* data = nullptr;
  int64_t batch = 0, head = 0, token = 0;  ///< strides, in elements

  /// Null for an empty tensor, which has no memory to move in.
  T* at(int64_t b, int64_t h, int64_t s) const {
    return data == nullptr ? nullptr : data + b * batch + h * head + s * token;
  }
};

/// Row-major strides of a [batch, heads, len, dim] tensor whose memory order is `layout`.
template <class T>
View<T> view_in(Layout layout, const Shape& shape, T* data) {
  const int64_t batch = shape[1] * shape[2] * shape[3];
  if (layout == Layout::bhsd) return {data, batch, shape[2] * shape[3], shape[3]};
  return {data, batch, shape[3], shape[2] * shape[3]};
}
template <class T>
View<const T> view_in(Layout layout, const Tensor& tensor) {
  return view_in(layout, tensor.shape, tensor.as<T>());
}

/// All that the problem asks for, as zeros.
StepOutput empty_output(const Problem& problem);

/// The elements of a tensor that is only there when the case asks for it; null otherwise.
template <class T>
const T* optional_data(const Inputs& inputs, std::string_view name) {
  const Tensor* tensor = inputs.find(name);
  return tensor ? tensor->as<T>() : nullptr;
}

}  // namespace attnfuzz
