#include "reports/repro/repro.h"

namespace attnfuzz {
namespace {

struct Family {
  bool (*has)(std::string_view target);
  Repro (*make)(const Case&, const TargetInfo&);
};

bool starts(std::string_view text, std::string_view with) {
  return text.rfind(with, 0) == 0;
}

/// The first line that has the target makes its repro.
constexpr Family kFamilies[] = {
    {[](std::string_view target) {
       return starts(target, "cpu:") || starts(target, "specimen:") || starts(target, "fixed:");
     },
     builtin_repro},
};

}  // namespace

Repro make_repro(const Case& c, const TargetInfo& target) {
  for (const Family& family : kFamilies)
    if (family.has(target.name)) return family.make(c, target);
  return {};
}

}  // namespace attnfuzz
