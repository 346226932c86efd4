#pragma once
#include <span>
#include <string_view>

#include "reports/triage/code.h"
#include "reports/triage/words.h"

/// What is known of attention before any text is read: how its tensors are laid out, and which of
/// them meet.
namespace attnfuzz::triage {

/// A layout of a tensor, as letters of axes.h, and how common it is.
struct Layout {
  Role role;
  std::string_view axes;  ///< "bhqk"
  double weight;          ///< among the layouts of this role
};
std::span<const Layout> layouts_of(Role role);

/// Two tensors that an operation combines, in this order.
struct Scene {
  Form form;
  Role a, b;
  double weight;
};
std::span<const Scene> scenes();

/// How much a layout says less where the other tensor is of this role: a layer's input is split
/// into heads before it meets a rotary table, not before it meets a weight.
double log_beside(const Layout& layout, Role other, Form form);

/// How likely a size of 1 is on this axis of such a tensor: masks have it where they broadcast.
double chance_of_one(Role role, Axis axis);

}  // namespace attnfuzz::triage
