#pragma once
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "oracle/case.h"

/// Questions that the emitters ask of a case and a target.
namespace attnfuzz::repro {

inline bool has(const Case& c, std::string_view rule) {
  return c.problem.mask.find(rule) != nullptr;
}

/// Whether the mask consists of these rules alone.
inline bool only(const Case& c, std::initializer_list<std::string_view> rules) {
  return std::all_of(c.problem.mask.rules.begin(), c.problem.mask.rules.end(),
                     [&](const RuleUse& use) {
                       return std::find(rules.begin(), rules.end(), use.spec->name) != rules.end();
                     });
}

/// A boolean [batch, len] tensor of PyTorch's, true where a slot holds a token.
inline std::string torch_padding(const RuleUse& padding, int64_t len) {
  const std::string lens =
      fmt::format("torch.tensor([{}])[:, None]", fmt::join(padding.list(1), ", "));
  return padding.integer(0) == 0 ? fmt::format("torch.arange({0}) >= {0} - {1}", len, lens)
                                 : fmt::format("torch.arange({}) < {}", len, lens);
}

/// "package:name" of "package:name@environment".
inline std::string_view plain_name(std::string_view target) {
  return target.substr(0, target.find('@'));
}

}  // namespace attnfuzz::repro
