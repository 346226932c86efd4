#pragma once
#include <string>
#include <utility>
#include <vector>

/// A model of one operator in ONNX's protobuf, so that a script can hold it as it is.
namespace attnfuzz::onnx {

/// Element types, as ONNX numbers them.
enum class Type { f32 = 1, i32 = 6, i64 = 7, boolean = 9, f16 = 10, f64 = 11 };

struct Input {
  std::string name;  ///< empty: left out
  Type type = Type::f32;
};

struct Model {
  std::string op;
  int opset = 0;  ///< of ai.onnx; 0: an operator of com.microsoft
  std::vector<Input> inputs;
  std::vector<std::pair<std::string, std::string>> attributes;  ///< "2" is an integer, "2.0" a real
  Type output = Type::f32;
  int outputs = 1;         ///< that the operator has
  bool gives_all = false;  ///< the model's outputs are all of them, else the first alone, "out"
};
/// Its bytes in hexadecimal.
std::string model_hex(const Model& model);

}  // namespace attnfuzz::onnx
