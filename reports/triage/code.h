#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reports/triage/words.h"

/// What the lines of code in a report do to which tensors. Python, C++, Rust, Julia: the
/// expressions look alike, and whatever is no expression is passed over.
namespace attnfuzz::triage {

/// What is done, as far as the shapes of its operands matter.
enum class Form : uint8_t {
  unknown,
  elementwise,
  matmul,
  concat,
  expand,  ///< one shape is broadcast to another
  view,    ///< the same elements in another shape
  equal,   ///< a check that two sizes or shapes agree
  copy,    ///< written into a part of another tensor
  limit,   ///< a check that a size is not too large
  divide,  ///< a check that a size is a multiple of another
  index,   ///< a position looked up in a table
  einsum,
  count
};
std::string_view name_of(Form form);

/// An operand: what its name says, and the name.
struct Operand {
  RoleGuess role;
  std::string name;
};

/// One operation of a line.
struct CodeOp {
  Form form = Form::unknown;
  std::vector<Operand> operands;
  std::vector<AxisGuess> axes;  ///< of a view's or an expand's words, in order
  std::vector<std::string> axis_words;
  std::string pattern;  ///< einsum's or rearrange's
  size_t line = 0;
};

/// The operations of one line, outermost first.
std::vector<CodeOp> operations_in(std::string_view line);

/// The axes that a comment gives a tensor: "# [batch * heads, q_len, kv_len]".
std::vector<AxisGuess> axes_in_brackets(std::string_view text);

}  // namespace attnfuzz::triage
