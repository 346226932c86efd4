#include "reports/repro/python_arrays.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "oracle/base64.h"

namespace attnfuzz::python {
namespace {

constexpr int64_t kMostLiterals = 64, kMostEncoded = 512;

std::string shape_text(const Shape& shape) {
  return fmt::format("{}", fmt::join(shape, ", "));
}

/// The shortest text that reads back as the same element.
std::string literal(double value) {
  if (std::isnan(value)) return "np.nan";
  if (std::isinf(value)) return value < 0 ? "-np.inf" : "np.inf";
  const auto narrow = static_cast<float>(value);
  std::string text = fmt::format("{}", narrow);
  if (narrow == value && static_cast<float>(std::stod(text)) == narrow) return text;
  return fmt::format("{}", value);
}

std::string base64(const std::vector<std::byte>& bytes) {
  return to_base64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// Whether (and times what) normal() of the script gives the tensor.
std::optional<double> normal_scale(const Case& c, Role role) {
  const DType dtype = c.problem.dtype;
  if (role != Role::q && role != Role::k && role != Role::v) return std::nullopt;
  if (c.data.nonfinite != NonFinite::none || c.data.given != nullptr || dtype == DType::bf16)
    return std::nullopt;
  if (c.data.dist == Distribution::normal) return 1;
  if (c.data.dist == Distribution::large) return role == Role::v ? 64 : 8;
  if (c.data.dist == Distribution::huge) return role == Role::v ? 1 : 64;
  return std::nullopt;
}

}  // namespace

std::string_view numpy_type(DType dtype) {
  return dtype == DType::f64 ? "np.float64" : dtype == DType::f16 ? "np.float16" : "np.float32";
}

std::string array(const Tensor& tensor, const Case& c, Role role, int step, bool brief) {
  const std::vector<double> values = tensor.to_doubles();
  const std::string_view type = numpy_type(tensor.dtype);
  const std::string shape = shape_text(tensor.shape);
  const bool same = std::all_of(values.begin(), values.end(),
                                [&](double value) { return value == values.front(); });
  if (!values.empty() && same)
    return fmt::format("np.full(({},), {}, {})", shape, literal(values.front()), type);
  if (tensor.size() <= kMostLiterals) {
    std::vector<std::string> literals;
    literals.reserve(values.size());
    for (const double value : values) literals.push_back(literal(value));
    return fmt::format("np.array([{}], {}).reshape({})", fmt::join(literals, ", "), type, shape);
  }
  const auto scale = normal_scale(c, role);
  if (scale && !(brief && tensor.size() <= kMostEncoded)) {
    const std::string times = *scale == 1 ? "" : fmt::format(" * {}", *scale);
    return fmt::format("(normal_tensor({}, {}, {}){}).astype({})", c.data.seed,
                       tensor_number(role, step), shape, times, type);
  }
  const Tensor held =
      tensor.dtype == DType::bf16 ? Tensor::from_doubles(DType::f32, tensor.shape, values) : tensor;
  return fmt::format("np.frombuffer(base64.b64decode(\"{}\"), {}).reshape({})", base64(held.bytes),
                     type, shape);
}

Tensor broadcastable(const Tensor& tensor) {
  const int64_t batch = tensor.shape[0], heads = tensor.shape[1];
  if (tensor.size() == 0) return tensor;
  const size_t plane = tensor.bytes.size() / static_cast<size_t>(batch * heads);
  const auto at = [&](int64_t b, int64_t h) {
    return tensor.bytes.data() + static_cast<size_t>(b * heads + h) * plane;
  };
  bool same_batch = true, same_heads = true;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h) {
      same_batch = same_batch && std::memcmp(at(b, h), at(0, h), plane) == 0;
      same_heads = same_heads && std::memcmp(at(b, h), at(b, 0), plane) == 0;
    }
  Tensor out(tensor.dtype,
             {same_batch ? 1 : batch, same_heads ? 1 : heads, tensor.shape[2], tensor.shape[3]});
  for (int64_t b = 0; b < out.shape[0]; ++b)
    for (int64_t h = 0; h < out.shape[1]; ++h)
      std::memcpy(out.bytes.data() + static_cast<size_t>(b * out.shape[1] + h) * plane, at(b, h),
                  plane);
  return out;
}

std::string mask(const Tensor& tensor) {
  const Tensor held = broadcastable(tensor);
  const std::vector<double> values = held.to_doubles();
  std::string rows;
  for (size_t n = 0; n < values.size(); ++n) {
    if (n > 0 && n % static_cast<size_t>(held.shape[3]) == 0) rows += ' ';
    rows += values[n] != 0 ? '1' : '0';
  }
  return fmt::format("np.array([x == \"1\" for x in \"{}\" if x != \" \"]).reshape({})", rows,
                     shape_text(held.shape));
}

std::string normal_function() {
  return std::string(attnfuzz_normal_py.substr(attnfuzz_normal_py.find("def "))) + "\n";
}

Tensor logical(const Tensor& tensor, Layout layout) {
  if (layout == Layout::bhsd) return tensor;
  const int64_t batch = tensor.shape[0], len = tensor.shape[1], heads = tensor.shape[2];
  const auto vector_bytes = static_cast<size_t>(tensor.shape[3] * info(tensor.dtype).bytes);
  Tensor out(tensor.dtype, {batch, heads, len, tensor.shape[3]});
  if (out.bytes.empty()) return out;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t s = 0; s < len; ++s)
      for (int64_t h = 0; h < heads; ++h)
        std::memcpy(
            out.bytes.data() + static_cast<size_t>((b * heads + h) * len + s) * vector_bytes,
            tensor.bytes.data() + static_cast<size_t>((b * len + s) * heads + h) * vector_bytes,
            vector_bytes);
  return out;
}

}  // namespace attnfuzz::python
