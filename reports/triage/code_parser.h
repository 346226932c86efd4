#pragma once
#include <string>
#include <string_view>
#include <vector>

/// Expressions in lines of code of any language that writes them as Python, C++ or Rust do.
namespace attnfuzz::triage {

/// An expression: a name, a call (its function's name in `text`), an operator, or a list.
struct Node {
  enum class Kind : uint8_t { name, number, string, call, index, unary, binary, list, keyword };
  Kind kind = Kind::name;
  std::string text;
  std::vector<Node> parts;  ///< of a method's call and of an index the object first
  bool is_method = false;
};

/// The expressions of a line, as much of them as there is: what is no expression is passed over,
/// what is missing at the line's end is left out.
std::vector<Node> expressions_in(std::string_view line);

}  // namespace attnfuzz::triage
