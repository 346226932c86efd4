#pragma once
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/dtype.h"
#include "oracle/error.h"
#include "oracle/mask.h"
#include "oracle/names.h"

namespace attnfuzz {

/// Memory order of q, k, v and out: [batch, heads, len, dim] or [batch, len, heads, dim].
enum class Layout : uint8_t { bhsd, bshd };
template <>
inline constexpr std::array<std::string_view, 2> names_of<Layout>{"bhsd", "bshd"};

/// How q, k and v lie within their memory (targets/strided.h): as `layout` says; so, with gaps
/// behind each axis and an odd start; with the elements of a head apart and its tokens side by
/// side; as parts of one buffer [batch, len, num_heads + 2 num_kv_heads, head_dim]; or as `layout`
/// says, with the keys and values of batch row 0 for all rows (stride 0).
enum class Strides : uint8_t { dense, gaps, transposed, fused, shared };
template <>
inline constexpr std::array<std::string_view, 5> names_of<Strides>{"dense", "gaps", "transposed",
                                                                   "fused", "shared"};

/// Which KV head serves query head h: h / (num_heads / num_kv_heads), or h % num_kv_heads.
enum class HeadMap : uint8_t { grouped, interleaved };
template <>
inline constexpr std::array<std::string_view, 2> names_of<HeadMap>{"grouped", "interleaved"};

/// What a row that sees no key gives: zeros, NaN, the mean of all values, or anything (unchecked).
enum class FullyMasked : uint8_t { zero, nan, uniform, any };
template <>
inline constexpr std::array<std::string_view, 4> names_of<FullyMasked>{"zero", "nan", "uniform",
                                                                       "any"};

/// Whether bias (additive, ALiBi) joins the scaled score after softcap or before it.
enum class BiasOrder : uint8_t { after_softcap, before_softcap };
template <>
inline constexpr std::array<std::string_view, 2> names_of<BiasOrder>{"after_softcap",
                                                                     "before_softcap"};

/// What attention is: softmax, or a recurrence of a state S for each KV head, with v its input and
/// q its reader (u is the step's input, see oracle/linear/kinds.h):
///   S = decay ∘ S + k uᵀ;  out = scale · Sᵀ q.
enum class ProblemKind : uint8_t {
  softmax,
  linear,       ///< decays for each element of the key (GLA, Yang et al. 2024)
  retnet,       ///< one fixed decay for each KV head (Sun et al. 2023)
  ssd,          ///< one decay for each token and KV head (Mamba-2, Dao and Gu 2024)
  delta,        ///< the delta rule: u = beta (v − Sᵀ k) (Yang et al. 2024)
  gated_delta,  ///< both of the last two (Yang, Kautz and Hatamizadeh 2025)
};
template <>
inline constexpr std::array<std::string_view, 6> names_of<ProblemKind>{
    "softmax", "linear", "retnet", "ssd", "delta", "gated_delta"};
/// What can be asked of an implementation: attention's output, the logarithm of each row's softmax
/// denominator (sink included), and the gradients of Σ grad_out · out in the inputs. "dbias" is the
/// gradient in the dense bias, [batch, num_heads, q_len, kv_len].
enum class Output : uint8_t { out, lse, dq, dk, dv, dbias, dsinks, dmem_k, dmem_v };
template <>
inline constexpr std::array<std::string_view, 9> names_of<Output>{
    "out", "lse", "dq", "dk", "dv", "dbias", "dsinks", "dmem_k", "dmem_v"};
inline bool is_gradient(Output output) {
  return output >= Output::dq;
}

/// Rotary position embedding (Su et al. 2021): which elements of q and k make up pair n, which is
/// turned by position · rope_base^(−2n / dim): n and n + dim / 2 (GPT-NeoX, Llama), or 2n and 2n +
/// 1 (GPT-J), with dim elements turned.
enum class Rope : uint8_t { none, half, interleaved };
template <>
inline constexpr std::array<std::string_view, 3> names_of<Rope>{"none", "half", "interleaved"};

/// Which elements of the head rope turns where it turns but rope_dim of them: as if these were all
/// of it, the others stay (GPT-NeoX and ChatGLM: the first; DeepSeek's MLA: the last).
enum class RopePart : uint8_t { first, last };
template <>
inline constexpr std::array<std::string_view, 2> names_of<RopePart>{"first", "last"};

/// How rope's frequencies are changed for contexts longer than those of a model's training, by
/// `factor` s. D elements are turned, θ_n = rope_base^(−2n / D), L is the number of keys:
///   linear       θ_n / s (position interpolation, Chen et al. 2023)
///   ntk          of the base rope_base · s^(D / (D − 2))
///   dynamic_ntk  of the base rope_base · (s L / original_len − s + 1)^(D / (D − 2)) where
///                L > original_len
///   yarn         from θ_n / s to θ_n along a ramp over the pairs (Peng et al. 2023): those that
///                rotate fewer than `low` times over original_len are slowed by s, those that
///                rotate more than `high` times are not
///   llama3       the same with a ramp over the number of rotations
enum class RopeLaw : uint8_t { none, linear, ntk, dynamic_ntk, yarn, llama3 };
template <>
inline constexpr std::array<std::string_view, 6> names_of<RopeLaw>{
    "none", "linear", "ntk", "dynamic_ntk", "yarn", "llama3"};

struct RopeScaling {
  RopeLaw law = RopeLaw::none;
  double factor = 1;
  int64_t original_len = 0;  ///< dynamic_ntk, yarn, llama3
  double low = 0, high = 0;  ///< yarn ("beta_slow", "beta_fast"), llama3 ("low_freq_factor" …)
  double magnitude = 1;      ///< times which turned q and k are taken ("mscale")
  bool truncate = true;      ///< yarn: the ramp's ends are whole pairs, rounded outwards

  bool has_original_len() const { return law >= RopeLaw::dynamic_ntk; }
  bool has_ramp() const { return law >= RopeLaw::yarn; }
  bool operator==(const RopeScaling&) const = default;
};

/// What is to be computed. Shapes: q [batch, num_heads, q_len, head_dim], k [batch, num_kv_heads,
/// kv_len, head_dim], v [batch, num_kv_heads, kv_len, head_dim_v], out [batch, num_heads, q_len,
/// head_dim_v] (in the order of `layout`).
///   q, k turned by their positions if rope (memory keys are not);
///   s = scale · q·k;  s = softcap · tanh(s / softcap) if softcap > 0;  s += bias (see bias_order);
///   p = softmax over visible keys, memory keys and, in the denominator only, the head's sink;
///   out = Σ p v, with dropout Σ p m v / keep for the 0s and 1s m of the input "dropout".
/// Kinds other than softmax have none of the options between; see oracle/linear/kinds.h.
struct Problem {
  ProblemKind kind = ProblemKind::softmax;
  int64_t batch = 1, num_heads = 1, num_kv_heads = 1;
  int64_t q_len = 1, kv_len = 1;  ///< with steps: both 0 here, each step has its own
  int64_t head_dim = 1, head_dim_v = 1;
  DType dtype = DType::f32;
  Layout layout = Layout::bhsd;
  Strides strides = Strides::dense;
  std::optional<double> scale;  ///< none: 1/sqrt(head_dim)
  double softcap = 0;           ///< 0: off
  bool sinks = false;           ///< a logit for each query head, added to the denominator (gpt-oss)
  int64_t memory_kv = 0;        ///< learned keys and values before all others, seen by every query
  HeadMap head_map = HeadMap::grouped;
  BiasOrder bias_order = BiasOrder::after_softcap;
  FullyMasked fully_masked = FullyMasked::zero;
  int64_t dropout_keep = 100;  ///< percent of the weights that dropout keeps; 100: no dropout
  std::vector<Output> outputs{Output::out};  ///< asked for; `out` always and first, then in order
  Rope rope = Rope::none;
  double rope_base = 10000;
  int64_t rope_dim = 0;  ///< elements that rope turns; 0: all
  RopePart rope_part = RopePart::first;
  RopeScaling rope_scaling = {};
  /// The positions by which rope turns the keys, for all rows ("position_ids"); a query turns by
  /// that of the key at which it stands. Empty: 0, 1, 2 … Masks go by places all the same.
  std::vector<int64_t> rope_positions = {};
  Mask mask;

  /// Whether a state is carried from token to token in place of keys and values.
  bool recurrent() const { return kind != ProblemKind::softmax; }
  double scale_value() const;
  int64_t kv_head(int64_t h) const;
  bool asks(Output output) const;
  bool asks_gradients() const;
  bool has_dropout() const { return dropout_keep < 100; }
  /// By which position rope turns what stands at key `place`. A place that has no given position is
  /// its own.
  int64_t rope_position(int64_t place) const {
    const bool given = place >= 0 && place < static_cast<int64_t>(rope_positions.size());
    return given ? rope_positions[static_cast<size_t>(place)] : place;
  }
  /// How many elements of a head rope turns, and the first of them.
  int64_t turned_dim() const { return rope_dim == 0 ? head_dim : rope_dim; }
  int64_t turned_begin() const { return rope_part == RopePart::last ? head_dim - turned_dim() : 0; }
  bool operator==(const Problem&) const = default;
};

/// The sizes that a number may have other than 0.
struct NumberRange {
  double min, max;
  bool has_sign = false;  ///< it may be negative

  /// Whether x is 0 or within the range.
  bool holds(double x) const {
    const double size = has_sign ? std::abs(x) : x;
    return x == 0 || (size >= min && size <= max);
  }
};
/// Normal numbers of every type in which scores are computed, f16 the narrowest, and with room for
/// what is folded with them (log2 e, 2 log2 e): rounded, they are off by u. The bound counts on it.
inline constexpr NumberRange scale_range{1e-4, 3e4, true}, softcap_range{1e-3, 3e4};

/// A size of a Problem by its name in the case file, and its limits. In the file's order; the upper
/// limits are those of element_index.
struct ProblemSize {
  std::string_view name;
  int64_t Problem::*member;
  int64_t min, max;
};
std::span<const ProblemSize> problem_sizes();

enum class Distribution : uint8_t {
  normal,    ///< close to N(0, 1)
  large,     ///< q, k × 8 and v × 64: a peaked softmax, large values
  constant,  ///< every element 0.5
  one_hot,   ///< element d is 1 where d = s mod dim, else 0: tells which key was read
  tiny,  ///< normal × a quarter of the dtype's smallest normal number (f64: of f32's): subnormal
  huge,  ///< q, k × 64: q·k is often beyond f16's range
  far_below,  ///< q from 10 to 20, k from −20 to −10: all scores far below 0 (a positive scale)
  cancelling,  ///< v ±(64 + normal), the sign another from token to token: sums of them cancel
};
template <>
inline constexpr std::array<std::string_view, 8> names_of<Distribution>{
    "normal", "large", "constant", "one_hot", "tiny", "huge", "far_below", "cancelling"};

/// Non-finite numbers mixed in, where they must make no difference or are the question asked.
enum class NonFinite : uint8_t {
  none,
  nan_padding,  ///< k and v are NaN in slots that the padding rule hides, and beyond a step's lens:
                ///< must not leak
  inf_padding,  ///< the same with +inf
  inf_value,    ///< one element in 64 of v is ±inf (e4m3, which has none: NaN)
  inf_bias,     ///< one element in 4 of the rule "bias" is −inf: hides its key
  nan_hidden,   ///< k and v are NaN wherever no query of their KV head sees the key
  inf_hidden,   ///< the same with +inf
};
template <>
inline constexpr std::array<std::string_view, 7> names_of<NonFinite>{
    "none", "nan_padding", "inf_padding", "inf_value", "inf_bias", "nan_hidden", "inf_hidden"};

struct Given;

/// How the tensors are made: see oracle/inputs.h.
struct Data {
  uint64_t seed = 0;
  Distribution dist = Distribution::normal;
  NonFinite nonfinite = NonFinite::none;
  /// Tensors that are given instead (oracle/given.h); null: all are made. With them, seed and dist
  /// are as they stand here, and nonfinite says what the tensors hold: see given_data().
  std::shared_ptr<const Given> given = {};
  bool operator==(const Data& other) const;  ///< given tensors by their elements
};

enum class CacheKind : uint8_t {
  dynamic,  ///< grows by concatenation, no limit
  fixed,    ///< a buffer of `capacity` tokens ("static" in Transformers)
  paged,    ///< pages of `page_size` tokens, a block table for each row
  ring,     ///< keeps the last `capacity` tokens (sliding window)
  chunked,  ///< keeps the tokens of the newest token's chunk of `capacity` tokens (Llama 4)
  hybrid,   ///< even KV heads keep all tokens, odd ones the last `capacity`: as layers do in Gemma
  sink_window,  ///< the first `keep` tokens and the last `capacity` − `keep` (StreamingLLM)
  cross,        ///< keys come with the prefill alone, every query sees all of them
};
template <>
inline constexpr std::array<std::string_view, 8> names_of<CacheKind>{
    "dynamic", "fixed", "paged", "ring", "chunked", "hybrid", "sink_window", "cross"};

/// Where the tokens behind an evicted one stand: where they stood, or moved up (llama.cpp's context
/// shift). The next token stands behind the last one: kept, as if nothing had been evicted.
enum class Positions : uint8_t { kept, shifted };
template <>
inline constexpr std::array<std::string_view, 2> names_of<Positions>{"kept", "shifted"};

/// In what the cache holds keys (turned, with rope) and values: each element as the nearest number
/// of the type to x / scale, at most the type's largest (int8: 127). All keys and values are read
/// as they are held, those of the step at hand too.
enum class Quant : uint8_t { none, int8, e4m3, e5m2 };
template <>
inline constexpr std::array<std::string_view, 4> names_of<Quant>{"none", "int8", "e4m3", "e5m2"};

/// The largest number of the type.
double largest(Quant quant);

/// The scales, in f32: of each token in each KV head, its largest |x| / the type's largest number;
/// or of each KV head, for all tokens, given (inputs "k_scales" and "v_scales").
enum class Scales : uint8_t { token, head };
template <>
inline constexpr std::array<std::string_view, 2> names_of<Scales>{"token", "head"};

struct Cache {
  CacheKind kind = CacheKind::dynamic;
  int64_t capacity = 0;   ///< tokens for each row; 0 where the kind has no limit
  int64_t page_size = 0;  ///< paged only
  int64_t keep = 0;       ///< sink_window only
  Positions positions = Positions::kept;
  Quant quant = Quant::none;
  Scales scales = Scales::token;

  /// Whether it forgets tokens by itself.
  bool forgets() const { return kind >= CacheKind::ring && kind <= CacheKind::sink_window; }
  bool operator==(const Cache&) const = default;
};

/// What a step does to the cache. prefill, append and decode bring q_len new tokens (of which
/// lens[b] are real in row b, when lens is given) and ask for their attention over all that is
/// cached. With a cross cache they bring q_len queries, all real, and kv_len keys: some to fill it,
/// 0 from then on.
enum class StepOp : uint8_t {
  prefill,  ///< first tokens, on an empty cache
  append,   ///< more tokens
  decode,   ///< one token (q_len 1)
  reorder,  ///< row b becomes a copy of row rows[b] (beam search)
  crop,     ///< keep the first `length` tokens of each row
  reset,    ///< empty the cache
  fork,     ///< row `to` becomes a copy of row `from`
  evict,    ///< drop `count` tokens of each row, from its `start`th on
};
template <>
inline constexpr std::array<std::string_view, 8> names_of<StepOp>{
    "prefill", "append", "decode", "reorder", "crop", "reset", "fork", "evict"};

/// The end of a ragged step's rows that holds the padding.
enum class Side : uint8_t { right, left };
template <>
inline constexpr std::array<std::string_view, 2> names_of<Side>{"right", "left"};

struct Step {
  StepOp op = StepOp::append;
  int64_t q_len = 0;                   ///< prefill, append, decode
  std::vector<int64_t> lens;           ///< ragged: real tokens of each row; empty: q_len for all
  std::vector<int64_t> rows;           ///< reorder
  int64_t length = 0;                  ///< crop
  Side side = Side::right;             ///< of the padding, with lens
  int64_t from = 0, to = 0;            ///< fork
  int64_t start = 0, count = 0;        ///< evict
  std::optional<int64_t> kv_len = {};  ///< cross: keys that it brings

  bool has_tokens() const { return op <= StepOp::decode; }
  int64_t keys() const { return kv_len.value_or(q_len); }
  /// Real tokens of row b, and the first one's place in the step's k and v.
  int64_t real_tokens(size_t b) const { return lens.empty() ? keys() : lens[b]; }
  int64_t first_real(size_t b) const { return side == Side::left ? keys() - real_tokens(b) : 0; }
  /// The same of its queries.
  int64_t real_queries(size_t b) const { return kv_len ? q_len : real_tokens(b); }
  int64_t first_query(size_t b) const { return kv_len ? 0 : first_real(b); }
  /// How many of the `tokens` that a row holds an evict drops.
  int64_t evicted(int64_t tokens) const;
  bool operator==(const Step&) const = default;
};

/// What a step does to the number of tokens in each row, had none been forgotten.
void follow(const Step& step, std::vector<int64_t>& totals);

/// All that is needed to rerun one test.
struct Case {
  Problem problem;
  Data data;
  std::optional<Cache> cache;
  std::vector<Step> steps;

  bool cached() const { return cache.has_value(); }
  bool operator==(const Case&) const = default;
};

/// What keeps a case from being one: the place in its file, and what was expected there.
struct Rejection {
  std::string path, expected;
};
/// The first impossible size or combination; nothing if the case can be run.
std::optional<Rejection> rejection(const Case& c);
inline bool is_valid(const Case& c) {
  return !rejection(c);
}
/// Throws InputError(where, path, expected) for it.
void check(const Case& c, const std::string& where = "case");

/// The uniform words for what a case uses ("dtype:f32", "rule:causal", "gqa", "align:top_left",
/// "fully_masked:zero", "step:append", "data:large" …), sorted. A target declares the same words.
std::vector<std::string> features(const Case& c);

/// One line for logs, in the manner of benchdnn's descriptors: "b2 h4/2 q8 kv11 d16 f32 causal".
std::string one_line(const Case& c);

}  // namespace attnfuzz
