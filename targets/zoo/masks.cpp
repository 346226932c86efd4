// Which keys a query sees, with the mutants of masks.
#include <algorithm>

#include "targets/zoo/packed.h"
#include "targets/zoo/sparse.h"

namespace attnfuzz::zoo {
namespace {

int64_t batch_row(const RuleUse& use, size_t param, int64_t b) {
  return use.list(param)[static_cast<size_t>(b)];
}

bool causal(const Context& x, const RuleUse&, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("causal-ignored"_line)) return true;
  const int64_t tile_end = at.q_pos / x.tile.queries * x.tile.queries + x.tile.queries - 1;
  const int64_t last = m.either("causal-whole-tile"_line, tile_end, at.q_pos);
  return at.key_pos <= last + m.one("causal-one-more"_line) - m.one("causal-one-less"_line);
}

bool window(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("window-ignored"_line)) return true;
  int64_t left = use.integer(0), right = use.integer(1);
  if (m.is("window-swapped"_line)) std::swap(left, right);
  if (m.is("window-symmetric"_line)) right = left;
  if (m.is("window-ends-at-query"_line)) right = 0;
  const int64_t first =
      at.q_pos - left - m.one("window-left-plus-one"_line) + m.one("window-left-minus-one"_line);
  const int64_t last =
      at.q_pos + right + m.one("window-right-plus-one"_line) - m.one("window-right-minus-one"_line);
  return (at.key_pos >= first || m.is("window-left-ignored"_line)) &&
         (at.key_pos <= last || m.is("window-right-ignored"_line));
}

bool chunk(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("chunk-ignored"_line)) return true;
  const int64_t size = use.integer(0) + m.one("chunk-size-plus-one"_line) -
                       (use.integer(0) > 1 ? m.one("chunk-size-minus-one"_line) : 0);
  if (m.is("chunk-as-window"_line)) return at.key_pos > at.q_pos - size;
  const bool by_token = use.integer(1) == 1 && !m.is("chunk-origin-slot"_line);
  const int64_t origin = by_token ? first_token(x.problem, at.b) : 0;
  const auto number = [&](int64_t position) {
    const int64_t from = position - origin + m.one("chunk-starts-one-early"_line);
    return from >= 0 ? from / size : -((size - 1 - from) / size);
  };
  return number(at.key_pos) == number(at.q_pos);
}

bool prefix(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  const int64_t row = m.either<int64_t>("prefix-first-row"_line, 0, at.b);
  const int64_t len =
      batch_row(use, 0, row) + m.one("prefix-plus-one"_line) - m.one("prefix-minus-one"_line);
  const bool in_prefix = at.key_pos < len && !m.is("prefix-ignored"_line);
  return in_prefix || at.key_pos <= at.q_pos || m.is("prefix-mask-ignored"_line);
}

bool documents(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("documents-ignored"_line)) return true;
  std::vector<int64_t> lens = use.list(0);
  if (lens.size() > 1) {  // where the first document ends and the others begin
    const int64_t by = m.one("documents-plus-one"_line) - m.one("documents-minus-one"_line);
    lens.front() += by;
    lens.back() -= by;
  }
  int64_t begin = 0;
  for (const int64_t len : lens) {
    if (at.q_pos >= begin && at.q_pos < begin + len)
      return at.key_pos >= begin && at.key_pos < begin + len;
    begin += len;
  }
  return false;
}

bool padding(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("padding-ignored"_line)) return true;
  bool left = use.integer(0) == 0;
  if (m.is("padding-left"_line)) left = true;
  if (m.is("padding-right"_line)) left = false;
  const int64_t row = m.either<int64_t>("padding-first-row"_line, 0, at.b);
  const int64_t len =
      batch_row(use, 1, row) + m.one("padding-plus-one"_line) - m.one("padding-minus-one"_line);
  return left ? at.key_pos >= x.problem.kv_len - len : at.key_pos < len;
}

bool boolean(const Context& x, const RuleUse& use, const Pair& at) {
  const Mutation& m = x.m;
  if (m.is("boolean-ignored"_line)) return true;
  int64_t b = at.b, h = at.h, i = at.i, j = at.j;
  if (m.is("boolean-first-head"_line)) h = 0;
  if (m.is("boolean-first-row"_line)) b = 0;
  if (m.is("boolean-first-query"_line)) i = 0;
  if (m.is("boolean-heads-as-rows"_line)) std::swap(b, h);
  if (m.is("boolean-transposed"_line)) std::swap(i, j);
  uint8_t set = 1;
  use.spec->apply(use,
                  {x.problem, x.data, b, h, i, at.q_pos, {&j, 1}, first_token(x.problem, at.b), 0},
                  {{&set, 1}, {}});
  return (set != 0) != m.is("boolean-inverted"_line);
}

struct Rule {
  std::string_view name;
  bool (*sees)(const Context&, const RuleUse&, const Pair&);
};
constexpr Rule rules[] = {{"causal", causal},  {"window", window},       {"chunk", chunk},
                          {"prefix", prefix},  {"documents", documents}, {"padding", padding},
                          {"boolean", boolean}};

constexpr Mutant table[] = {
    {"causal-one-more", "each query also sees the key after its own", Kernel::tiled,
     "causal-one-more"},
    {"causal-one-less", "k < q for k <= q", Kernel::tiled, "causal-one-less"},
    {"causal-ignored", "the causal flag is not passed on", Kernel::split_kv, "causal-ignored"},
    {"causal-whole-tile", "the diagonal tile is not masked inside", Kernel::tiled, "causal-tile-16",
     "not after the query's tile of 16 keys"},
    {"align-top-left", "the offset kv_len - q_len is missing", Kernel::tiled, "align-top-left"},
    {"align-bottom-right", "the offset kv_len - q_len is always added", Kernel::split_kv,
     "align-bottom-right"},
    {"align-offset-minus-one", "the offset is kv_len - q_len - 1", Kernel::tiled,
     "positions-one-less"},
    {"align-offset-plus-one", "the offset is kv_len - q_len + 1", Kernel::naive,
     "positions-one-more"},
    {"window-left-plus-one", "the window's left side counts one key more", Kernel::tiled,
     "window-left-plus-one"},
    {"window-left-minus-one", "the window's left side is exclusive", Kernel::tiled,
     "window-left-minus-one"},
    {"window-right-plus-one", "the window's right side counts one key more", Kernel::naive,
     "window-right-plus-one"},
    {"window-right-minus-one", "the window's right side is exclusive", Kernel::split_kv,
     "window-right-minus-one"},
    {"window-left-ignored", "the left side of the window is not applied", Kernel::split_kv,
     "window-left-ignored"},
    {"window-right-ignored", "the right side of the window is not applied", Kernel::tiled,
     "window-right-ignored"},
    {"window-ends-at-query", "every window is taken to be causal", Kernel::tiled,
     "window-ends-at-query", "the key is not after the query, in causal cases and others"},
    {"window-symmetric", "one size is used for both sides of the window", Kernel::tiled,
     "window-symmetric"},
    {"window-swapped", "left and right of the window are swapped", Kernel::tiled, "window-swapped"},
    {"window-ignored", "the window is not passed on", Kernel::naive, "window-ignored"},
    {"chunk-ignored", "the chunk is not passed on", Kernel::tiled, "chunk-ignored"},
    {"chunk-size-plus-one", "chunks are one token longer", Kernel::tiled, "chunk-size-plus-one"},
    {"chunk-size-minus-one", "chunks are one token shorter", Kernel::naive, "chunk-size-minus-one"},
    {"chunk-origin-slot", "chunks are counted from slot 0 with left padding", Kernel::tiled,
     "chunk-origin-slot"},
    {"chunk-as-window", "the chunk is a sliding window of as many tokens", Kernel::split_kv,
     "chunk-as-window"},
    {"chunk-starts-one-early", "(pos + 1) / size for pos / size", Kernel::tiled,
     "chunk-starts-one-early"},
    {"prefix-plus-one", "k <= prefix for k < prefix", Kernel::naive, "prefix-plus-one"},
    {"prefix-minus-one", "the prefix is one token shorter", Kernel::tiled, "prefix-minus-one",
     "the row's prefix − 1"},
    {"prefix-ignored", "causal throughout", Kernel::tiled, "prefix-ignored"},
    {"prefix-mask-ignored", "nothing is hidden behind the prefix", Kernel::split_kv,
     "prefix-mask-ignored"},
    {"prefix-first-row", "the first row's prefix is used for all rows", Kernel::tiled,
     "prefix-first-row"},
    {"documents-ignored", "packed documents see each other", Kernel::tiled, "documents-ignored"},
    {"documents-plus-one", "the first document takes the next one's first token", Kernel::naive,
     "documents-plus-one"},
    {"documents-minus-one", "the first document loses its last token", Kernel::tiled,
     "documents-minus-one"},
    {"padding-ignored", "padding is seen", Kernel::tiled, "padding-ignored",
     "Not applied: the key is a real token of its row (padding)"},
    {"padding-left", "padding is always taken to be on the left", Kernel::naive, "padding-left"},
    {"padding-right", "padding is always taken to be on the right", Kernel::tiled, "padding-right"},
    {"padding-plus-one", "k <= len for k < len", Kernel::split_kv, "padding-plus-one"},
    {"padding-minus-one", "the last real key is hidden", Kernel::tiled, "padding-minus-one"},
    {"padding-first-row", "the first row's length is used for all rows", Kernel::tiled,
     "padding-first-row"},
    {"boolean-ignored", "the boolean mask is not passed on", Kernel::naive, "boolean-ignored"},
    {"boolean-inverted", "set means hidden", Kernel::tiled, "boolean-inverted",
     "the boolean mask is not set"},
    {"boolean-first-head", "the mask's head stride is 0", Kernel::tiled, "boolean-first-head",
     "read at b·num_heads·q_len·kv_len + i·kv_len + j, and not"},
    {"boolean-first-row", "the mask's batch stride is 0", Kernel::split_kv, "boolean-first-row"},
    {"boolean-first-query", "the mask's query stride is 0", Kernel::tiled, "boolean-first-query"},
    {"boolean-heads-as-rows", "the mask's batch and head strides are swapped", Kernel::naive,
     "boolean-heads-as-rows"},
    {"boolean-transposed", "the mask is read as [key, query]", Kernel::tiled, "boolean-transposed"},
};

}  // namespace

int64_t query_position(const Context& x, int64_t i) {
  const Mutation& m = x.m;
  const Problem& p = x.problem;
  bool at_end = p.mask.align == Align::bottom_right;
  if (m.is("align-top-left"_line)) at_end = false;
  if (m.is("align-bottom-right"_line)) at_end = true;
  if (const RuleUse* packed = p.mask.find("packed")) return packed_position(x, *packed, i, at_end);
  if (!at_end) return i;
  return i + p.kv_len - p.q_len - m.one("align-offset-minus-one"_line) +
         m.one("align-offset-plus-one"_line);
}

bool sees(const Context& x, const Pair& pair) {
  for (const RuleUse& use : x.problem.mask.rules) {
    for (const Rule& rule : rules)
      if (rule.name == use.spec->name && !rule.sees(x, use, pair)) return false;
    if (!sees_sparse(x, use, pair) || !sees_packed(x, use, pair)) return false;
  }
  return true;
}

std::span<const Mutant> mask_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
