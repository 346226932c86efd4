#pragma once
#include <array>
#include <string>
#include <vector>

#include "reports/triage/code.h"
#include "reports/triage/grammar.h"
#include "reports/triage/layouts.h"
#include "reports/triage/stated_layouts.h"
#include "reports/triage/triage.h"

/// What a report says besides the numbers themselves.
namespace attnfuzz::triage {

/// A size that is known: from the report's text, or from --shapes.
struct Fact {
  Axis axis;
  int64_t value;
  Role of = Role::none;     ///< whose, where not the call's own
  double weight = 1;        ///< how far it is to be trusted
  bool any_length = false;  ///< a length of queries or keys
};

/// A shape outside the message, and whose it is.
struct LabelledShape {
  Mention shape;
  RoleGuess role;
  size_t line = 0;
};

struct Evidence {
  /// Weights of the forms that the message's phrases speak for; all 0: none does.
  std::array<double, static_cast<size_t>(Form::count)> forms{};
  /// What the words around the message name, nearest lines most: 0 to 1.
  std::array<double, static_cast<size_t>(Role::count)> roles{};
  std::vector<CodeOp> operations;      ///< of the lines of code, the innermost first
  std::vector<AxisGuess> result_axes;  ///< that a comment beside the innermost gives its result
  std::vector<Fact> facts;
  std::vector<LabelledShape> shapes;
  /// What a pattern of einsum or einops says of its tensors, the inputs first.
  std::vector<std::vector<AxisGuess>> pattern;
  std::vector<Layout> parameters;    ///< of a checkpoint's tensor that the message names
  bool parameters_near = false;      ///< … or of a projection that the text around names
  AxisGuess letter;                  ///< of an einsum's index that the message names
  bool grouped = false;              ///< fewer heads with keys than heads are spoken of
  std::vector<StatedLayout> stated;  ///< that words give tensors
  bool tiles = false;                ///< a kernel's own tensors: tiles without rows and heads

  double form(Form form) const { return forms[static_cast<size_t>(form)]; }
  /// The layouts of a role; of a checkpoint's tensor those that its name tells.
  std::span<const Layout> layouts(Role role) const {
    return role == Role::weight && !parameters.empty() ? std::span<const Layout>(parameters)
                                                       : layouts_of(role);
  }
  double role(Role role) const { return roles[static_cast<size_t>(role)]; }
};
Evidence gather(const Traceback& traceback, const std::vector<KnownSize>& known);

/// Whose a shape is, by the words right before it.
RoleGuess label_before(std::string_view before);

/// The forms that a message's phrases speak for.
std::array<double, static_cast<size_t>(Form::count)> forms_of(std::string_view message);

}  // namespace attnfuzz::triage
