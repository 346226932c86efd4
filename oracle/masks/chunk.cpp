#include "oracle/masks/rule.h"

namespace attnfuzz::masks {
namespace {

constexpr std::string_view origins[] = {"slot", "token"};
constexpr RuleParam params[] = {
    {.name = "size", .kind = RuleParam::Kind::integer, .min = 1},
    {.name = "origin", .kind = RuleParam::Kind::choice, .choices = origins}};

int64_t floor_to_multiple(int64_t x, int64_t size) {
  const int64_t rest = x % size;
  return x - rest - (rest < 0 ? size : 0);
}

void apply(const RuleUse& use, const RowContext& context, const MaskRow& row) {
  const int64_t size = distance(use.integer("size"));
  const int64_t origin = use.choice("origin") == "slot" ? 0 : context.first_token;
  const int64_t first = origin + floor_to_multiple(context.q_pos - origin, size);
  keep_between(context, row, first, first + size - 1);
}

}  // namespace

/// Llama 4's chunked attention. Chunks are counted from slot 0, or (origin token) from the row's
/// first real token, which differs with left padding.
extern const RuleSpec chunk;
const RuleSpec chunk = {.name = "chunk",
                        .words = "key and query are in the same chunk of `size` tokens",
                        .params = params,
                        .positional = true,
                        .adds_bias = false,
                        .apply = apply};

}  // namespace attnfuzz::masks
