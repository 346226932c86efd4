#include "tools/python_package/python_target.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>

#include "oracle/case_io.h"

namespace nb = nanobind;

namespace attnfuzz::python {
namespace {

nb::dlpack::dtype numpy_type(DType dtype) {
  using Code = nb::dlpack::dtype_code;
  const int bytes = info(dtype).bytes;
  const bool known_to_numpy = dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16;
  return {static_cast<uint8_t>(known_to_numpy ? Code::Float : Code::UInt),
          static_cast<uint8_t>(8 * bytes), 1};
}

/// A copy of a raw array, whose elements have the type of this word.
Tensor to_tensor(nb::handle word, nb::handle raw) {
  const auto dtype = parse_name<DType>(nb::cast<std::string>(word));
  const auto array = nb::cast<nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>>(raw);
  Shape shape;
  for (size_t axis = 0; axis < array.ndim(); ++axis)
    shape.push_back(static_cast<int64_t>(array.shape(axis)));
  if (!dtype || array.itemsize() != static_cast<size_t>(info(*dtype).bytes))
    throw std::logic_error("an array's elements have another size than its dtype");
  Tensor tensor(*dtype, std::move(shape));
  if (array.size() > 0) std::memcpy(tensor.bytes.data(), array.data(), tensor.bytes.size());
  return tensor;
}

std::string text_of(const nb::python_error& error) {
  std::string text = nb::cast<std::string>(error.type().attr("__name__"));
  try {
    text += ": " + nb::cast<std::string>(nb::str(error.value()));
  } catch (const std::exception&) {  // an exception whose own text raises, or is no valid text
  }
  return text;
}

}  // namespace

nb::object to_numpy(const Tensor& tensor) {
  auto* bytes = new std::vector<std::byte>(tensor.bytes);
  if (bytes->empty()) bytes->resize(1);  // an array of no elements has an address too
  const nb::capsule owner(bytes,
                          [](void* p) noexcept { delete static_cast<std::vector<std::byte>*>(p); });
  const std::vector<size_t> shape(tensor.shape.begin(), tensor.shape.end());
  return nb::ndarray<nb::numpy>(bytes->data(), shape.size(), shape.data(), owner, nullptr,
                                numpy_type(tensor.dtype))
      .cast();
}

nb::dict to_numpy(const Inputs& inputs) {
  nb::dict tensors;
  for (const auto& [name, tensor] : inputs.all()) tensors[name.c_str()] = to_numpy(tensor);
  return tensors;
}

StepOutput to_step(nb::handle step) {
  StepOutput output;
  const nb::tuple parts = nb::cast<nb::tuple>(step);
  if (!parts[1].is_none()) output.out = to_tensor(parts[0], parts[1]);
  output.lengths = nb::cast<std::vector<int64_t>>(parts[2]);
  output.positions = nb::cast<std::vector<int64_t>>(parts[3]);
  output.capacity = nb::cast<std::optional<int64_t>>(parts[4]);
  for (const auto& [name, value] : nb::cast<nb::dict>(parts[5])) {
    const auto which = parse_name<Output>(nb::cast<std::string>(name));
    if (!which) throw std::logic_error("an output has a name that is none");
    const nb::tuple pair = nb::cast<nb::tuple>(value);
    output.more.emplace(*which, to_tensor(pair[0], pair[1]));
  }
  return output;
}

Outcome PythonTarget::run(const Case& c, const Inputs& inputs) {
  const nb::gil_scoped_acquire gil;
  Outcome outcome;
  try {
    for (const nb::handle step : run_(write_case(c), to_numpy(inputs)))
      outcome.steps.push_back(to_step(step));
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;
    outcome.status = error.matches(declined_)           ? Status::declined
                     : error.matches(PyExc_MemoryError) ? Status::memory
                                                        : Status::error;
    outcome.text = text_of(error);
  }
  return outcome;
}

}  // namespace attnfuzz::python
