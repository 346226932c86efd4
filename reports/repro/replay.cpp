#include <fmt/format.h>

#include "fuzz/relations/relation.h"
#include "oracle/case_io.h"
#include "reports/repro/repro.h"
#include "reports/text.h"
#include "targets/target.h"

namespace attnfuzz {

namespace {

/// Why there is no program with the package under test alone; empty where there is no package.
std::string why_not_alone(const Case& c, const TargetInfo& target) {
  if (!c.problem.recurrent() || !is_python_name(target.name)) return "";
  return fmt::format(
      "# No program of the package and NumPy alone is written for {} attention: this one needs "
      "attnfuzz.\n",
      name(c.problem.kind));
}

}  // namespace

/// For a target without a package of its own, and for what no other family can say: the script
/// feeds the case to `attnfuzz replay`, whose exit is already 1 while the bug is there and 0 once
/// it is fixed.
Repro replay_repro(const Case& c, const TargetInfo& target) {
  return replay_repro(c, target, nullptr);
}

Repro replay_repro(const Case& c, const TargetInfo& target, const Relation* relation) {
  return {"repro.sh",
          fmt::format(R"(#!/bin/sh
# {} fails on this case. Exits 1 while it does, 0 once it is fixed.
{}# Set ATTNFUZZ to the program if it is not on the PATH.
case=$(mktemp) || exit 3
trap 'rm -f "$case"' EXIT
cat >"$case" <<'CASE'
{}CASE
"${{ATTNFUZZ:-attnfuzz}}" replay "$case" -t {}{}
)",
                      text::line(target.name), why_not_alone(c, target), write_case(c),
                      text::shell(target.name),
                      relation == nullptr ? "" : fmt::format(" --relations {}", relation->name))};
}

}  // namespace attnfuzz
