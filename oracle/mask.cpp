#include "oracle/mask.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "oracle/case.h"

namespace attnfuzz {

// One line for each rule; each is defined in oracle/masks/<rule>.cpp.
#define ATTNFUZZ_MASK_RULES(RULE) \
  RULE(causal)                    \
  RULE(window)                    \
  RULE(chunk)                     \
  RULE(prefix)                    \
  RULE(documents)                 \
  RULE(padding)                   \
  RULE(boolean)                   \
  RULE(bias)                      \
  RULE(alibi)                     \
  RULE(block_sparse)              \
  RULE(dilated)                   \
  RULE(spans)                     \
  RULE(tree)                      \
  RULE(relative_bias)             \
  RULE(packed)                    \
  RULE(indices)

#define ATTNFUZZ_DECLARE(rule) extern const RuleSpec rule;
#define ATTNFUZZ_ADDRESS(rule) &masks::rule,
namespace masks {
ATTNFUZZ_MASK_RULES(ATTNFUZZ_DECLARE)
}

std::span<const RuleSpec* const> rule_table() {
  static constexpr const RuleSpec* table[] = {ATTNFUZZ_MASK_RULES(ATTNFUZZ_ADDRESS)};
  return table;
}

const RuleSpec* find_rule(std::string_view name) {
  for (const RuleSpec* rule : rule_table()) {
    if (rule->name == name) return rule;
  }
  return nullptr;
}

size_t RuleUse::place(std::string_view param) const {
  for (size_t k = 0; k < spec->params.size(); ++k) {
    if (spec->params[k].name == param) return k;
  }
  throw std::logic_error(fmt::format("the rule {} has no parameter {}", spec->name, param));
}

std::string_view RuleUse::choice(std::string_view param) const {
  const size_t k = place(param);
  return spec->params[k].choices[static_cast<size_t>(integer(k))];
}

const RuleUse* Mask::find(std::string_view rule) const {
  for (const RuleUse& use : rules) {
    if (use.spec->name == rule) return &use;
  }
  return nullptr;
}

bool Mask::adds_bias() const {
  return std::any_of(rules.begin(), rules.end(),
                     [](const RuleUse& use) { return use.spec->adds_bias; });
}

namespace {

/// Calls act(sequence) for one after the other until it returns true.
template <class Act>
void for_each_sequence(const RuleUse& packed, const Act& act) {
  const std::vector<int64_t>&q_lens = packed.list(0), &kv_lens = packed.list(1);
  PackedSequence sequence;
  for (size_t n = 0; n < q_lens.size(); ++n) {
    sequence = {sequence.q_begin + sequence.q_len, q_lens[n], sequence.kv_begin + sequence.kv_len,
                kv_lens[n]};
    if (act(sequence)) return;
  }
}

}  // namespace

std::vector<PackedSequence> sequences(const Problem& problem) {
  const RuleUse* packed = problem.mask.find("packed");
  if (packed == nullptr) return {{0, problem.q_len, 0, problem.kv_len}};
  std::vector<PackedSequence> all;
  for_each_sequence(*packed, [&](const PackedSequence& sequence) {
    all.push_back(sequence);
    return false;
  });
  return all;
}

PackedSequence sequence_of(const RuleUse& packed, int64_t i) {
  PackedSequence found;
  for_each_sequence(packed, [&](const PackedSequence& sequence) {
    const bool own = i >= sequence.q_begin && i < sequence.q_begin + sequence.q_len;
    if (own) found = sequence;
    return own;
  });
  return found;
}

bool lengths_differ(const Problem& problem) {
  const std::vector<PackedSequence> all = sequences(problem);
  return problem.q_len != problem.kv_len ||
         std::any_of(all.begin(), all.end(),
                     [](const PackedSequence& each) { return each.q_len != each.kv_len; });
}

bool has_longer_q(const Problem& problem) {
  const std::vector<PackedSequence> all = sequences(problem);
  return problem.q_len > problem.kv_len ||
         std::any_of(all.begin(), all.end(),
                     [](const PackedSequence& each) { return each.q_len > each.kv_len; });
}

int64_t query_position(const Problem& problem, int64_t i) {
  const RuleUse* packed = problem.mask.find("packed");
  const PackedSequence own = packed == nullptr ? PackedSequence{0, problem.q_len, 0, problem.kv_len}
                                               : sequence_of(*packed, i);
  return own.first_position(problem.mask.align) + i - own.q_begin;
}

int64_t first_token(const Problem& problem, int64_t b) {
  const RuleUse* padding = problem.mask.find("padding");
  const bool left = padding != nullptr && padding->choice("side") == "left";
  return left ? problem.kv_len - padding->list("lens")[static_cast<size_t>(b)] : 0;
}

void mask_row(const RowContext& context, const MaskRow& row) {
  for (const RuleUse& use : context.problem.mask.rules) use.spec->apply(use, context, row);
  if (context.data.nonfinite != NonFinite::inf_bias && context.data.given == nullptr) return;
  for (size_t j = 0; j < row.bias.size(); ++j)
    if (row.bias[j] == -std::numeric_limits<double>::infinity()) row.visible[j] = 0;
}

DenseMask dense_mask(const Problem& problem, const Data& data) {
  DenseMask dense{problem.batch, problem.num_heads, problem.q_len, problem.kv_len, {}, {}};
  const auto kv_len = static_cast<size_t>(problem.kv_len);
  const size_t size =
      static_cast<size_t>(problem.batch * problem.num_heads * problem.q_len) * kv_len;
  dense.visible.assign(size, 1);
  if (problem.mask.adds_bias()) dense.bias.assign(size, 0.0);
  std::vector<int64_t> key_pos(kv_len);
  std::iota(key_pos.begin(), key_pos.end(), 0);
  size_t at = 0;
  for (int64_t b = 0; b < problem.batch; ++b) {
    const int64_t first = first_token(problem, b);
    for (int64_t h = 0; h < problem.num_heads; ++h) {
      for (int64_t i = 0; i < problem.q_len; ++i, at += kv_len) {
        const RowContext context{problem, data,  b, h, i, query_position(problem, i),
                                 key_pos, first, 0};
        mask_row(context, {std::span(dense.visible).subspan(at, kv_len),
                           dense.bias.empty() ? std::span<double>()
                                              : std::span(dense.bias).subspan(at, kv_len)});
      }
    }
  }
  return dense;
}

}  // namespace attnfuzz
