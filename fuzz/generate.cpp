#include "fuzz/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/claims.h"
#include "fuzz/draw_mask.h"
#include "fuzz/draw_rope.h"
#include "fuzz/draw_sizes.h"
#include "fuzz/draw_steps.h"

namespace attnfuzz {
namespace {

/// After so many tries a case is drawn with at most `features` optional features.
struct Patience {
  int tries;
  int64_t features;
};
constexpr Patience patience[] = {{8, 6}, {16, 1}, {200, 0}};

/// What a feature word that is one of an enumeration's sets.
struct EnumOption {
  std::string_view prefix;
  std::span<const std::string_view> names;
  void (*set)(Case&, size_t);
};
#define ATTNFUZZ_ENUM(prefix, E, member)                                         \
  {                                                                              \
    prefix, names_of<E>, [](Case& c, size_t k) { c.member = static_cast<E>(k); } \
  }
constexpr EnumOption enum_options[] = {
    ATTNFUZZ_ENUM("kind", ProblemKind, problem.kind),
    ATTNFUZZ_ENUM("dtype", DType, problem.dtype),
    ATTNFUZZ_ENUM("layout", Layout, problem.layout),
    ATTNFUZZ_ENUM("strides", Strides, problem.strides),
    ATTNFUZZ_ENUM("align", Align, problem.mask.align),
    ATTNFUZZ_ENUM("head_map", HeadMap, problem.head_map),
    ATTNFUZZ_ENUM("bias_order", BiasOrder, problem.bias_order),
    ATTNFUZZ_ENUM("fully_masked", FullyMasked, problem.fully_masked),
    ATTNFUZZ_ENUM("rope", Rope, problem.rope),
    ATTNFUZZ_ENUM("rope_part", RopePart, problem.rope_part),
    ATTNFUZZ_ENUM("rope_scaling", RopeLaw, problem.rope_scaling.law),
    ATTNFUZZ_ENUM("data", Distribution, data.dist),
    ATTNFUZZ_ENUM("nonfinite", NonFinite, data.nonfinite),
};
#undef ATTNFUZZ_ENUM

constexpr double scales[] = {1, 0.5, 0.125, 2, 0.3};
constexpr int64_t dropout_keeps[] = {90, 80, 50, 20};
constexpr double softcaps[] = {1, 2, 5, 30, 50};      // 30 and 50: Gemma 2
constexpr double rope_bases[] = {10000, 500000, 10};  // 500000: Llama 3

/// What a feature word of its own sets.
struct Toggle {
  std::string_view word;
  void (*set)(Case&, Draw&);
};
#define ATTNFUZZ_OUTPUT(name)                                                 \
  {                                                                           \
#name, [](Case & c, Draw&) { c.problem.outputs.push_back(Output::name); } \
  }
constexpr Toggle toggles[] = {
    {"scale",
     [](Case& c, Draw& draw) { c.problem.scale = draw.pick(std::span<const double>(scales)); }},
    {"softcap",
     [](Case& c, Draw& draw) { c.problem.softcap = draw.pick(std::span<const double>(softcaps)); }},
    {"sinks", [](Case& c, Draw&) { c.problem.sinks = true; }},
    {"dropout",
     [](Case& c, Draw& draw) {
       c.problem.dropout_keep = draw.pick(std::span<const int64_t>(dropout_keeps));
     }},
    ATTNFUZZ_OUTPUT(lse),
    ATTNFUZZ_OUTPUT(dq),
    ATTNFUZZ_OUTPUT(dk),
    ATTNFUZZ_OUTPUT(dv),
    ATTNFUZZ_OUTPUT(dbias),
    ATTNFUZZ_OUTPUT(dsinks),
    ATTNFUZZ_OUTPUT(dmem_k),
    ATTNFUZZ_OUTPUT(dmem_v),
};
#undef ATTNFUZZ_OUTPUT

constexpr size_t none = static_cast<size_t>(-1);  // no word: what a case is anyhow

/// Whether the value is one that a case has without a word for it.
bool is_default(std::string_view prefix, std::string_view name) {
  return (prefix.starts_with("rope") && name == "none") || name == "dense";
}

/// The tables' words by their places, made once.
struct Places {
  std::vector<std::vector<size_t>> enums;
  std::vector<size_t> toggles;
  size_t gqa = word_index("gqa"), mqa = word_index("mqa"), cross = word_index("cross"),
         longer_q = word_index("longer_q"), head_dim_v = word_index("head_dim_v"),
         memory_kv = word_index("memory_kv"), empty = word_index("empty"),
         rope_magnitude = word_index("rope_magnitude"),
         rope_positions = word_index("rope_positions");
  FeatureSet caches, rope_parts = words_like("rope_part:");

  Places() {
    for (const EnumOption& option : enum_options) {
      std::vector<size_t>& words = enums.emplace_back();
      for (const std::string_view name : option.names)
        words.push_back(is_default(option.prefix, name)
                            ? none
                            : word_index(fmt::format("{}:{}", option.prefix, name)));
    }
    for (const Toggle& toggle : attnfuzz::toggles) toggles.push_back(word_index(toggle.word));
    for (const std::string_view kind : names_of<CacheKind>)
      caches.set(word_index(fmt::format("cache:{}", kind)));
  }
};

const Places& places() {
  static const Places all;
  return all;
}

void set_options(const FeatureSet& words, Draw& draw, Case& c) {
  for (size_t k = 0; k < std::size(enum_options); ++k)
    for (size_t n = 0; n < places().enums[k].size(); ++n)
      if (places().enums[k][n] != none && words[places().enums[k][n]]) enum_options[k].set(c, n);
  for (size_t k = 0; k < std::size(toggles); ++k)
    if (words[places().toggles[k]]) toggles[k].set(c, draw);
}

/// Head sizes of kernels in use, keys' and values': a kernel has code of its own for some of them.
struct HeadDims {
  int64_t head_dim, head_dim_v;
};
constexpr HeadDims usual_dims[] = {{64, 64},   {80, 80},   {96, 96},   {128, 128},
                                   {192, 128}, {192, 192}, {256, 256}, {576, 512}};
constexpr int percent_usual_dims = 10;
constexpr int percent_usual_dims_aimed = 40;  // of the cases that are aimed at a boundary

/// Another value than `other`, where the axis has one.
int64_t other_than(int64_t other, Axis axis, SizeDrawer& sizes, const Claims& claims, Draw& draw) {
  const SizeRange& range = claims.range(axis);
  const bool up = other - range.multiple_of < std::max<int64_t>(range.min, 1) ||
                  (draw.chance(50) && other + range.multiple_of <= range.max);
  return up ? sizes.axis(axis, other + 1, 4 * other + 1) : sizes.axis(axis, 1, other - 1);
}

int64_t root(int64_t x) {
  return static_cast<int64_t>(std::sqrt(static_cast<double>(x)));
}

/// Rope turns pairs of elements.
void even_dims(SizeDrawer& sizes, Draw& draw, Case& c) {
  Problem& p = c.problem;
  const bool differ = p.head_dim != p.head_dim_v;
  p.rope_base = draw.pick(std::span<const double>(rope_bases));
  p.head_dim = sizes.fixed(Axis::head_dim, p.head_dim + p.head_dim % 2);
  if (!differ) p.head_dim_v = sizes.fixed(Axis::head_dim_v, p.head_dim);
}

bool holds(const SizeRange& range, int64_t value) {
  return value >= range.min && value <= range.max && value % range.multiple_of == 0;
}

/// Now and then head sizes in use that the target claims; else null.
const HeadDims* draw_usual_dims(const Claims& claims, bool differ, const SizeDrawer& sizes,
                                Draw& draw) {
  const bool aimed =
      sizes.aim().constrains(Quantity::head_dim) || sizes.aim().constrains(Quantity::head_dim_v);
  const int percent = sizes.aim().on() ? percent_usual_dims_aimed : percent_usual_dims;
  if (aimed || !draw.chance(percent)) return nullptr;
  std::vector<const HeadDims*> claimed;
  for (const HeadDims& dims : usual_dims)
    if ((dims.head_dim != dims.head_dim_v) == differ &&
        holds(claims.range(Axis::head_dim), dims.head_dim) &&
        holds(claims.range(Axis::head_dim_v), dims.head_dim_v))
      claimed.push_back(&dims);
  return claimed.empty() ? nullptr : draw.pick(std::span<const HeadDims* const>(claimed));
}

void draw_dims(const Claims& claims, const FeatureSet& words, SizeDrawer& sizes, Draw& draw,
               Case& c) {
  Problem& p = c.problem;
  const SizeRange& v = claims.range(Axis::head_dim_v);
  const bool differ = words[places().head_dim_v];
  const int64_t most = std::max<int64_t>(1, sizes.left(Factor::dims) / 2);
  if (const HeadDims* usual = draw_usual_dims(claims, differ, sizes, draw)) {
    p.head_dim = sizes.fixed(Axis::head_dim, usual->head_dim);
    p.head_dim_v = sizes.fixed(Axis::head_dim_v, usual->head_dim_v);
  } else {
    p.head_dim = differ ? sizes.axis(Axis::head_dim, 1, most)
                        : sizes.axis(Axis::head_dim, v.min, std::min(v.max, most));
    p.head_dim_v = differ ? other_than(p.head_dim, Axis::head_dim_v, sizes, claims, draw)
                          : sizes.fixed(Axis::head_dim_v, p.head_dim);
  }
  if (p.rope != Rope::none) even_dims(sizes, draw, c);
  if ((words & places().rope_parts).any()) {
    if (p.head_dim == 2) p.head_dim = sizes.fixed(Axis::head_dim, 4);
    if (!differ) p.head_dim_v = sizes.fixed(Axis::head_dim_v, p.head_dim);
    draw_rope_dim(draw, p);
  }
  sizes.spend(Factor::dims, p.head_dim + p.head_dim_v);
}

void draw_lengths(const Claims& claims, const FeatureSet& words, SizeDrawer& sizes, Case& c) {
  Problem& p = c.problem;
  const SizeRange &q = claims.range(Axis::q_len), &kv = claims.range(Axis::kv_len);
  const bool longer = words[places().longer_q], shorter = words[places().cross] && !longer;
  // What is left for both lengths, each as long as the other.
  const int64_t square = root(sizes.left(Factor::queries) * sizes.least(Factor::queries));
  if (longer || shorter) {
    p.kv_len = sizes.axis(Axis::kv_len, std::max<int64_t>(1, q.min + (shorter ? 1 : 0)),
                          longer ? std::min(square, q.max - 1) : sizes.left(Factor::keys));
    sizes.spend(Factor::keys, p.kv_len);
    const int64_t most = sizes.left(Factor::queries);
    p.q_len = longer ? sizes.axis(Axis::q_len, p.kv_len + 1, p.kv_len + 1 + most)
                     : sizes.axis(Axis::q_len, 1, std::min(p.kv_len - 1, most));
  } else {
    const Interval aimed = sizes.aim().of(Quantity::kv_len).meet({kv.min, kv.max});
    p.q_len = sizes.axis(Axis::q_len, std::max<int64_t>(1, aimed.min),
                         std::min({q.max, aimed.max, std::max(square, aimed.min)}));
    p.kv_len = sizes.fixed(Axis::kv_len, p.q_len);
    sizes.spend(Factor::keys, p.kv_len);
  }
  sizes.spend(Factor::queries, p.q_len);
}

/// How many tokens a row of the cache may hold; takes the work for their scores from what is left.
int64_t draw_cached_tokens(const Claims& claims, SizeDrawer& sizes) {
  constexpr int64_t always = 8;
  const Interval aimed = aimed_tokens(claims, sizes.aim());
  const int64_t square = root(sizes.left(Factor::queries) * sizes.least(Factor::queries));
  const int64_t tokens = std::max({always, square / 2, 2 * claims.range(Axis::q_len).min});
  // Most cases stay well below.
  sizes.spend(Factor::queries, std::max(tokens / 2, aimed.min));
  sizes.spend(Factor::keys, std::max(tokens / 2, aimed.min));
  // The last step may take more than is missing.
  const int64_t least = aimed.min + std::max<int64_t>(1, claims.range(Axis::q_len).min) - 1;
  return std::clamp(tokens, least, std::max(least, aimed.max));
}

/// A number of KV heads near `wanted` of which the target claims a multiple, more than once as
/// large, for the query heads; and the least such factor. 0: none.
int64_t least_group(const SizeRange& heads, int64_t kv_heads) {
  const int64_t from = std::max(2 * kv_heads, (heads.min + kv_heads - 1) / kv_heads * kv_heads);
  for (int64_t h = from; h <= heads.max; h += kv_heads)
    if (h % heads.multiple_of == 0) return h / kv_heads;
  return 0;
}

/// Query heads for each KV head, as served models have them.
constexpr int64_t usual_groups[] = {2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64, 128};

int64_t draw_group(const SizeRange& heads, int64_t kv_heads, SizeDrawer& sizes, Draw& draw) {
  const int64_t least = least_group(heads, kv_heads);
  const Interval aimed = sizes.aim().of(Quantity::group);
  const int64_t most = std::min(
      {heads.max / kv_heads, aimed.max, std::max(sizes.left(Factor::heads) / kv_heads, aimed.min)});
  std::vector<int64_t> fitting;
  const auto fits = [&](int64_t group) {
    return group >= std::max(least, aimed.min) && group <= most &&
           group * kv_heads % heads.multiple_of == 0;
  };
  for (const int64_t group : usual_groups)
    if (fits(group)) fitting.insert(fitting.end(), group <= 4 ? 3 : 1, group);
  if (fits(aimed.min)) fitting.push_back(aimed.min);
  return fitting.empty() ? std::max<int64_t>(2, least)
                         : draw.pick(std::span<const int64_t>(fitting));
}

/// The number of KV heads that was drawn, or the nearest that has a group within the claims.
int64_t groupable(const Claims& claims, int64_t kv_heads) {
  const SizeRange &kv = claims.range(Axis::num_kv_heads), &heads = claims.range(Axis::num_heads);
  const auto good = [&](int64_t n) { return n >= 2 && holds(kv, n) && least_group(heads, n) > 0; };
  constexpr int64_t furthest = 4096;
  for (int64_t away = 0; away <= std::min<int64_t>(furthest, std::max(kv_heads, kv.max - kv_heads));
       ++away) {
    if (good(kv_heads - away)) return kv_heads - away;
    if (good(kv_heads + away)) return kv_heads + away;
  }
  return kv_heads;
}

void draw_heads(const Claims& claims, const FeatureSet& words, SizeDrawer& sizes, Draw& draw,
                Case& c) {
  Problem& p = c.problem;
  const SizeRange& heads = claims.range(Axis::num_heads);
  const bool gqa = words[places().gqa], mqa = words[places().mqa];
  const int64_t left = sizes.left(Factor::heads);
  if (!gqa && !mqa) {
    const SizeRange& kv = claims.range(Axis::num_kv_heads);
    // As many KV heads as heads: an aim at either is one at both.
    const Interval aimed = sizes.aim().of(Quantity::num_kv_heads).meet({kv.min, kv.max});
    p.num_heads = sizes.axis(Axis::num_heads, std::max<int64_t>(1, aimed.min),
                             std::clamp(left, aimed.min, std::max(aimed.min, aimed.max)));
    p.num_kv_heads = sizes.fixed(Axis::num_kv_heads, p.num_heads);
  } else if (mqa) {
    p.num_kv_heads = sizes.fixed(Axis::num_kv_heads, 1);
    p.num_heads = sizes.axis(Axis::num_heads,
                             std::max<int64_t>(2, sizes.aim().of(Quantity::group).min), left);
  } else {
    const int64_t drawn = sizes.axis(Axis::num_kv_heads, 2, std::min(heads.max / 2, left / 2));
    p.num_kv_heads = groupable(claims, drawn);
    if (p.num_kv_heads != drawn) sizes.fixed(Axis::num_kv_heads, p.num_kv_heads);
    p.num_heads = sizes.fixed(Axis::num_heads,
                              p.num_kv_heads * draw_group(heads, p.num_kv_heads, sizes, draw));
  }
  sizes.spend(Factor::heads, p.num_heads);
}

/// Sets a size, of those that the target lets be 0, to 0.
void empty_a_size(const Claims& claims, Draw& draw, Case& c) {
  struct Row {
    Axis axis;
    int64_t Problem::*member;
  };
  constexpr Row table[] = {{Axis::batch, &Problem::batch},
                           {Axis::q_len, &Problem::q_len},
                           {Axis::kv_len, &Problem::kv_len}};
  const auto start = static_cast<size_t>(draw.between(0, 2));
  for (size_t k = 0; k < std::size(table); ++k) {
    const Row& row = table[(start + k) % std::size(table)];
    if (claims.range(row.axis).min > 0 || (c.cached() && row.axis != Axis::batch)) continue;
    c.problem.*row.member = 0;
    return;
  }
}

Case draw_case(const Claims& claims, const FeatureSet& words, Draw& draw, const Aim& aim) {
  Case c;
  Problem& p = c.problem;
  SizeDrawer sizes(claims, draw, aim);
  set_options(words, draw, c);
  const bool cached = (words & places().caches).any();
  draw_dims(claims, words, sizes, draw, c);
  int64_t tokens = 0;
  if (cached)
    tokens = draw_cached_tokens(claims, sizes);
  else
    draw_lengths(claims, words, sizes, c);
  if (p.rope_scaling.law != RopeLaw::none)
    draw_rope_scaling(words[places().rope_magnitude], cached ? tokens : p.kv_len, sizes, draw, p);
  draw_heads(claims, words, sizes, draw, c);
  p.batch = sizes.axis(Axis::batch, 1, sizes.left(Factor::batch));
  sizes.spend(Factor::batch, p.batch);
  if (words[places().memory_kv]) p.memory_kv = sizes.axis(Axis::memory_kv, 1, 64);
  if (words[places().empty] && !cached) empty_a_size(claims, draw, c);
  if (words[places().rope_positions]) p.rope_positions = draw_rope_positions(p.kv_len, draw);
  if (cached) p.q_len = p.kv_len = 0;
  const int64_t kv_len = cached ? draw_steps(claims, words, tokens, sizes, draw, c) : p.kv_len;
  draw_mask(claims, words, kv_len, sizes, draw, c);
  c.data.seed = draw.bits() >> 32;
  return c;
}

/// Claims can leave only sizes that no case may have (1 head, 2 KV heads). Empty: the case is
/// valid.
std::string why_invalid(const Case& c) {
  const std::optional<Rejection> found = rejection(c);
  return found ? fmt::format("case: {}: {}", found->path, found->expected) : std::string();
}

}  // namespace

/// Throws InputError for claims that leave a cache without a step to fill it by.
void demand_steps(const Capabilities& capabilities) {
  std::string cache;
  bool filled = false;
  for (const std::string& word : capabilities.features) {
    if (cache.empty() && word.starts_with("cache:")) cache = word;
    filled |= word == "step:prefill" || word == "step:append" || word == "step:decode";
  }
  if (!cache.empty() && !filled)
    throw InputError("capabilities", "/features",
                     fmt::format("expected one of step:prefill, step:append and step:decode beside "
                                 "{}: nothing fills the cache",
                                 cache));
}

Generator::Generator(const Capabilities& capabilities)
    : claims_(std::make_unique<const Claims>(capabilities)) {
  demand_steps(capabilities);
}
Generator::~Generator() = default;

std::optional<Case> Generator::attempt(Draw& draw, const Aim& aim, std::string* why) const {
  std::string rejection_reason;
  int tries = 0;
  for (const Patience& stage : patience)
    for (; tries < stage.tries; ++tries) {
      Case c = draw_case(*claims_, claims_->draw_features(draw, stage.features, aim), draw, aim);
      rejection_reason = claims_->capabilities().rejection_reason(c);
      if (rejection_reason.empty()) rejection_reason = why_invalid(c);
      if (rejection_reason.empty()) return c;
    }
  if (aim.on()) return attempt(draw, {}, why);  // the claims let no case be so
  if (why != nullptr) *why = std::move(rejection_reason);
  return {};
}

Case Generator::operator()(Draw& draw, const Aim& aim) const {
  std::string why;
  std::optional<Case> found = attempt(draw, aim, &why);
  if (found) return *std::move(found);
  throw InputError("capabilities", "",
                   "expected claims that some case can meet; of the simplest cases none is inside "
                   "them, the last one because " +
                       why);
}

Case generate(const Capabilities& capabilities, Draw& draw) {
  return Generator(capabilities)(draw);
}

}  // namespace attnfuzz
