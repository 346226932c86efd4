#include "reports/repro/onnx_model.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

namespace attnfuzz::onnx {
namespace {

std::string varint(uint64_t n) {
  constexpr uint64_t more = 128;
  std::string out;
  for (; n >= more; n /= more) out += static_cast<char>(n % more + more);
  return out + static_cast<char>(n);
}

// A field of a message: its number and what kind of value follows.
std::string integer(uint64_t field, int64_t value) {
  return varint(field << 3) + varint(static_cast<uint64_t>(value));
}
std::string bytes(uint64_t field, const std::string& value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}
std::string real(uint64_t field, float value) {
  char raw[sizeof value];  // little-endian, as on all machines that this is built for
  std::memcpy(raw, &value, sizeof value);
  return varint(field << 3 | 5) + std::string(raw, sizeof raw);
}

std::string typed(const std::string& name, Type type) {
  return bytes(1, name) + bytes(2, bytes(1, integer(1, static_cast<int64_t>(type))));
}

std::string attribute(const std::string& name, const std::string& value) {
  const bool is_real = value.find_first_of(".en") != value.npos;
  return bytes(1, name) + (is_real ? real(2, std::stof(value)) : integer(3, std::stoll(value))) +
         integer(20, is_real ? 1 : 2);
}

}  // namespace

std::string model_hex(const Model& model) {
  constexpr const char* other = "com.microsoft";
  constexpr int64_t ir_version = 11, standard = 21;
  std::string node, inputs, outputs;
  for (const Input& input : model.inputs) {
    node += bytes(1, input.name);
    if (!input.name.empty()) inputs += bytes(11, typed(input.name, input.type));
  }
  for (int k = 0; k < model.outputs; ++k) {
    const std::string name = k == 0 ? "out" : fmt::format("out{}", k);
    node += bytes(2, name);
    if (k == 0 || model.gives_all) outputs += bytes(12, typed(name, model.output));
  }
  node += bytes(4, model.op);
  for (const auto& [name, value] : model.attributes) node += bytes(5, attribute(name, value));
  node += bytes(7, model.opset == 0 ? other : "");
  const std::string graph = bytes(1, node) + bytes(2, model.op) + inputs + outputs;
  std::string out;
  for (const char byte : integer(1, ir_version) + bytes(7, graph) +
                             bytes(8, integer(2, model.opset == 0 ? standard : model.opset)) +
                             bytes(8, bytes(1, other) + integer(2, 1)))
    out += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return out;
}

}  // namespace attnfuzz::onnx
