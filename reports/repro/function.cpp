#include <fmt/format.h>

#include "oracle/case_io.h"
#include "reports/repro/repro.h"
#include "reports/text.h"

namespace attnfuzz {

/// For "python:module:function", what the Python package tests. The package's Result.write() fills
/// in CLAIMS. A function that has no name to import it by is left to the reader.
Repro function_repro(const Case& c, const TargetInfo& target) {
  const std::string name = text::line(target.name);
  const size_t module = name.find(':') + 1;
  const size_t function = name.find(':', module) + 1;
  const std::string attribute = function == 0 ? "" : name.substr(function);
  const bool importable = !attribute.empty() && attribute.find('<') == std::string::npos &&
                          name.compare(module, 8, "__main__") != 0;
  const std::string load =
      importable ? fmt::format("attnfuzz.load({})", text::c_string(name.substr(module)))
                 : std::string("...  # the function; it has no name to import it by");
  return {"repro.py",
          fmt::format(R"("""{} fails on this case. Exits 1 while it does, 0 once it is fixed.

Needs attnfuzz's Python package, and the function's module in the working folder or installed.
"""
import attnfuzz

FUNCTION = {}
CLAIMS = {{}}  # as they were given to attnfuzz.check()
CASE = r"""
{}"""

finding = attnfuzz.replay(FUNCTION, CASE, **CLAIMS)
print(finding or "right")
raise SystemExit(0 if finding is None else 1)
)",
                      name, load, write_case(c))};
}

}  // namespace attnfuzz
