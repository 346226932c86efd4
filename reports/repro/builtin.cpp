#include <fmt/format.h>

#include "oracle/case_io.h"
#include "reports/repro/repro.h"

namespace attnfuzz {

/// A target that is part of attnfuzz has no package of its own: the script feeds the case to
/// `attnfuzz replay`, whose exit is already 1 while the bug is there and 0 once it is fixed.
Repro builtin_repro(const Case& c, const TargetInfo& target) {
  return {"repro.sh", fmt::format(R"(#!/bin/sh
# {} fails on this case. Exits 1 while it does, 0 once it is fixed.
# Set ATTNFUZZ to the program if it is not on the PATH.
case=$(mktemp) || exit 3
trap 'rm -f "$case"' EXIT
cat >"$case" <<'CASE'
{}CASE
"${{ATTNFUZZ:-attnfuzz}}" replay "$case" -t '{}'
)",
                                  target.name, write_case(c), target.name)};
}

}  // namespace attnfuzz
