#include "targets/cpu/key_range.h"

#include <algorithm>

namespace attnfuzz {
namespace {

constexpr int64_t far = int64_t{1} << 40;

struct Place {
  const Problem& problem;
  int64_t b, q_pos;
};

KeyRange causal(const RuleUse&, const Place& at) {
  return {-far, at.q_pos + 1};
}

KeyRange window(const RuleUse& use, const Place& at) {
  const int64_t left = std::min(use.integer(0), far), right = std::min(use.integer(1), far);
  return {at.q_pos - left, at.q_pos + right + 1};
}

KeyRange padding(const RuleUse& use, const Place& at) {
  const bool left = use.integer(0) == 0;
  const int64_t len = use.list(1)[static_cast<size_t>(at.b)];
  return left ? KeyRange{at.problem.kv_len - len, far} : KeyRange{-far, len};
}

KeyRange chunk(const RuleUse& use, const Place& at) {
  const int64_t size = std::min(use.integer(0), far);
  const int64_t origin = use.integer(1) == 0 ? 0 : first_token(at.problem, at.b);
  const int64_t offset = ((at.q_pos - origin) % size + size) % size;
  return {at.q_pos - offset, at.q_pos - offset + size};
}

KeyRange prefix(const RuleUse& use, const Place& at) {
  return {-far, std::max(at.q_pos + 1, use.list(0)[static_cast<size_t>(at.b)])};
}

KeyRange documents(const RuleUse& use, const Place& at) {
  int64_t begin = 0;
  for (const int64_t len : use.list(0)) {
    if (at.q_pos >= begin && at.q_pos < begin + len) return {begin, begin + len};
    begin += len;
  }
  return {0, 0};
}

struct RangeRule {
  std::string_view name;
  KeyRange (*range)(const RuleUse&, const Place&);
};
constexpr RangeRule range_rules[] = {{"causal", causal},       {"window", window},
                                     {"chunk", chunk},         {"prefix", prefix},
                                     {"documents", documents}, {"padding", padding}};

}  // namespace

KeyRange KeyRange::within(const KeyRange& other) const {
  return {std::max(begin, other.begin), std::min(end, other.end)};
}

KeyRange KeyRange::joined(const KeyRange& other) const {
  if (empty()) return other;
  if (other.empty()) return *this;
  return {std::min(begin, other.begin), std::max(end, other.end)};
}

KeyRange visible_keys(const Problem& problem, int64_t b, int64_t q_pos, KeyRange keys) {
  for (const RuleUse& use : problem.mask.rules)
    for (const RangeRule& rule : range_rules)
      if (rule.name == use.spec->name) keys = keys.within(rule.range(use, {problem, b, q_pos}));
  return keys;
}

}  // namespace attnfuzz
