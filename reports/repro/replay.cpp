#include <fmt/format.h>

#include "fuzz/relations/relation.h"
#include "oracle/case_io.h"
#include "reports/repro/repro.h"
#include "reports/show.h"
#include "reports/story.h"
#include "reports/text.h"
#include "targets/target.h"

namespace attnfuzz {

namespace {

/// Why there is no program with the package under test alone; empty where there is no package.
std::string why_it_needs_attnfuzz(const Case& c, const TargetInfo& target) {
  if (!c.problem.recurrent() || !is_python_name(target.name)) return "";
  return fmt::format(
      "# No program of the package and NumPy alone is written for {} attention: this one needs "
      "attnfuzz.\n",
      name(c.problem.kind));
}

/// Which rows of a long case tell, as comments.
std::string judged_comment(const Case& c) {
  std::string words;
  for (const std::string& line : judged_words(c)) words += fmt::format("# {}\n", line);
  return words;
}

std::string here_document(const std::string& file, const Case& c) {
  return fmt::format("cat >\"$cases/{}\" <<'CASE'\n{}CASE\n", file, write_case(c));
}

}  // namespace

/// For a target without a package of its own, and for what no other family can say: the script
/// feeds the case to `attnfuzz replay`, whose exit is already 1 while the bug is there and 0 once
/// it is fixed.
Repro replay_repro(const Case& c, const TargetInfo& target) {
  return replay_repro(c, target, nullptr, {});
}

Repro replay_repro(const Case& c, const TargetInfo& target, const Relation* relation,
                   const std::vector<Case>& before) {
  std::string files = here_document("case.json", c), after;
  for (size_t k = 0; k < before.size(); ++k) {
    files += here_document(before_file(k), before[k]);
    after += fmt::format(" --after \"$cases/{}\"", before_file(k));
  }
  return {"repro.sh",
          fmt::format(R"(#!/bin/sh
# {} fails on this case. Exits 1 while it does, 0 once it is fixed.
{}{}# Set ATTNFUZZ to the program if it is not on the PATH.
cases=$(mktemp -d) || exit 3
trap 'rm -rf "$cases"' EXIT
{}"${{ATTNFUZZ:-attnfuzz}}" replay "$cases/case.json"{} -t {}{}
)",
                      text::line(target.name), why_it_needs_attnfuzz(c, target), judged_comment(c),
                      files, after, text::shell(target.name),
                      relation == nullptr ? "" : fmt::format(" --relations {}", relation->name))};
}

}  // namespace attnfuzz
