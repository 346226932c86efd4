// Dropout, the log-sum-exp and the gradients.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "fuzz/faults/outputs.h"
#include "fuzz/faults/rewrite.h"
#include "fuzz/faults/rows.h"
#include "oracle/backward_pass.h"
#include "oracle/rows.h"

namespace attnfuzz::fault {
namespace {

bool asks_of_keys(const Case& c) {
  const Problem& p = c.problem;
  return p.asks(Output::dk) || p.asks(Output::dv) || p.asks(Output::dmem_k) ||
         p.asks(Output::dmem_v);
}

bool asks_of_memory(const Case& c) {
  return c.problem.asks(Output::dmem_k) || c.problem.asks(Output::dmem_v);
}

bool is_positional(const Case& c) {
  const auto& rules = c.problem.mask.rules;
  return std::any_of(rules.begin(), rules.end(), [](auto& use) { return use.spec->positional; });
}

bool is_grouped(const Case& c) {
  return c.problem.num_kv_heads < c.problem.num_heads;
}

bool asks_gradients(const Case& c) {
  return c.problem.asks_gradients();
}
bool has_softcap(const Case& c) {
  return asks_gradients(c) && c.problem.softcap > 0;
}
bool drops(const Case& c) {
  return asks_gradients(c) && c.problem.has_dropout();
}

// Outputs that are another factor, or another evaluation's
// -----------------------------------------

using Evaluate = Answer (*)(const Case&, const Inputs&, const Precision&);

double inverse_scale(const Problem& p) {
  return 1 / p.scale_value();
}
double the_scale(const Problem& p) {
  return p.scale_value();
}
double negative(const Problem&) {
  return -1;
}
double of_base_2(const Problem&) {
  return std::numbers::log2e;
}
template <double (*factor)(const Problem&), Output... outputs>
Answer times(const Case& c, const Inputs& inputs, const Precision& precision) {
  return scaled(answer(c, inputs, precision), {outputs...}, factor(c.problem));
}

constexpr std::initializer_list<Output> gradients{Output::dq,    Output::dk,     Output::dv,
                                                  Output::dbias, Output::dsinks, Output::dmem_k,
                                                  Output::dmem_v};

Answer dropout_not_rescaled(const Case& c, const Inputs& inputs, const Precision& precision) {
  Inputs other = inputs;
  std::vector<double> kept = inputs.at("dropout").to_doubles();
  for (double& each : kept) each *= static_cast<double>(c.problem.dropout_keep) / 100;
  other.replace("dropout", Tensor::from_doubles(DType::f64, inputs.at("dropout").shape, kept));
  return answer(c, other, precision);
}

/// The given outputs of the case without dropout.
template <bool all>
Answer of_undropped(const Case& c, const Inputs& inputs, const Precision& precision) {
  Case other = c;
  other.problem.dropout_keep = 100;
  Answer undropped = answer(other, inputs, precision);
  return all ? with_outputs(answer(c, inputs, precision), std::move(undropped), gradients)
             : with_outputs(answer(c, inputs, precision), std::move(undropped), {Output::dv});
}

Case without_sinks(Case c) {
  c.problem.sinks = false;
  std::erase(c.problem.outputs, Output::dsinks);
  return c;
}
Answer gradients_without_sink(const Case& c, const Inputs& inputs, const Precision& precision) {
  return with_outputs(answer(c, inputs, precision), answer(without_sinks(c), inputs, precision),
                      gradients);
}
Answer lse_without_sink(const Case& c, const Inputs& inputs, const Precision& precision) {
  return with_outputs(answer(c, inputs, precision), answer(without_sinks(c), inputs, precision),
                      {Output::lse});
}

/// log Σ exp(s − max): the maximum that keeps the exponentials small is not added again.
Answer lse_without_max(const Case& c, const Inputs& inputs, const Precision& precision) {
  Answer all = answer(c, inputs, precision);
  MoreAnswer& lse = *find_output(all.steps.front(), Output::lse);
  const RowReader reader(c, inputs);
  const Problem& p = c.problem;
  size_t at = 0;
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; ++i, ++at) {
        const RowKeys row = reader.row(b, h, i);
        double max = row.sink;
        for (const RowKeys::Key& key : row.keys) max = std::max(max, key.score);
        if (std::isfinite(max)) lse.values[at] -= max;
      }
  return all;
}

// Gradients of keys that come from other query heads or rows
// ---------------------------------------

/// The inputs with grad_out set to 0 but for the heads and rows that count.
template <class Counts>
Inputs grad_out_of(const Case& c, const Inputs& inputs, const Counts& counts) {
  return changed_tensor(c, inputs, "grad_out",
                        [&](double x, const ElementAt& at) { return counts(at.b, at.h) ? x : 0; });
}

constexpr std::initializer_list<Output> of_keys{Output::dk, Output::dv, Output::dmem_k,
                                                Output::dmem_v};

/// The number of a query head among those of its KV head.
int64_t nth_of_group(const Problem& p, int64_t h) {
  const int64_t group = p.num_heads / p.num_kv_heads;
  return p.head_map == HeadMap::interleaved ? h / p.num_kv_heads : h % group;
}

template <bool first>
Answer of_one_head(const Case& c, const Inputs& inputs, const Precision& precision) {
  const Problem& p = c.problem;
  const int64_t counts = first ? 0 : p.num_heads / p.num_kv_heads - 1;
  const Inputs other =
      grad_out_of(c, inputs, [&](int64_t, int64_t h) { return nth_of_group(p, h) == counts; });
  return with_outputs(answer(c, inputs, precision), answer(c, other, precision), of_keys);
}

Answer memory_of_last_row(const Case& c, const Inputs& inputs, const Precision& precision) {
  const Inputs other =
      grad_out_of(c, inputs, [&](int64_t b, int64_t) { return b + 1 == c.problem.batch; });
  return with_outputs(answer(c, inputs, precision), answer(c, other, precision),
                      {Output::dmem_k, Output::dmem_v});
}

/// Adds KV head `from` of a gradient to head `to` of another.
void add_head(const Case& c, const MoreAnswer& part, int64_t from, int64_t to, MoreAnswer& sum) {
  const bool memory = part.shape.size() == 3;  // [num_kv_heads, memory_kv, dim]
  const Shape shape = memory ? Shape{1, part.shape[0], part.shape[1], part.shape[2]} : part.shape;
  const Layout layout = memory ? Layout::bhsd : c.problem.layout;
  const Rows rows(layout, shape);
  const int64_t len = shape[layout == Layout::bhsd ? 2 : 1];
  for (int64_t b = 0; b < shape[0]; ++b)
    for (int64_t s = 0; s < len; ++s)
      for (int64_t d = 0; d < shape[3]; ++d) {
        const auto source = static_cast<size_t>(rows.index(b, from, s) + d);
        const auto target = static_cast<size_t>(rows.index(b, to, s) + d);
        sum.values[target] += part.values[source];
        sum.bound[target] += part.bound[source];
      }
}

/// What each query head makes of dk and dv goes to the KV head that `head_of` says; −1: to none.
using HeadOf = int64_t (*)(const Problem&, int64_t h);
template <HeadOf head_of>
Answer by_head_map(const Case& c, const Inputs& inputs, const Precision& precision) {
  Answer all = answer(c, inputs, precision);
  for (const Output output : of_keys)
    if (MoreAnswer* more = find_output(all.steps.front(), output)) {
      std::fill(more->values.begin(), more->values.end(), 0);
      for (double& bound : more->bound) bound = std::isfinite(bound) ? 0 : bound;
    }
  for (int64_t h = 0; h < c.problem.num_heads; ++h) {
    const int64_t to = head_of(c.problem, h);
    if (to < 0) continue;
    Answer one = answer(
        c, grad_out_of(c, inputs, [h](int64_t, int64_t other) { return other == h; }), precision);
    for (const Output output : of_keys)
      if (MoreAnswer* more = find_output(all.steps.front(), output))
        add_head(c, *find_output(one.steps.front(), output), c.problem.kv_head(h), to, *more);
  }
  return all;
}
int64_t other_map(const Problem& p, int64_t h) {
  return p.head_map == HeadMap::interleaved ? h / (p.num_heads / p.num_kv_heads)
                                            : h % p.num_kv_heads;
}
/// Slot (h mod group, h / group) of [num_kv_heads, group].
int64_t by_share(const Problem& p, int64_t h) {
  const int64_t group = p.num_heads / p.num_kv_heads;
  return h % group < p.num_kv_heads && h / group < group ? h % group : -1;
}

// Other terms of the backward pass
// -----------------------------------------------------------------

template <class Terms>
Answer by_terms(const Case& c, const Inputs& inputs, const Precision& precision) {
  Answer all = answer(c, inputs, precision);
  add_gradients_by(Terms(), c, inputs, &precision, all.steps.front());
  return all;
}

struct NoRowDot : BackwardTerms {
  void row_dot(const BackwardRow&, const BackwardRow&, const BackwardRow&,
               double& dot) const override {
    dot = 0;
  }
};
struct RowDotNotDropped : BackwardTerms {
  void row_dot(const BackwardRow& p, const BackwardRow& dp, const BackwardRow&,
               double& dot) const override {
    dot = (p * dp).sum();
  }
};

/// P made anew for other keys than the forward pass's, each by exp(s − lse).
template <class Keys>
struct OtherMask : BackwardTerms {
  void mask(const RowContext& row, int64_t memory, int64_t keys, Eigen::Index r,
            std::vector<uint8_t>& shown) const override {
    shown.resize(std::max(shown.size(), static_cast<size_t>((r + 1) * keys)), 1);
    const auto visible =
        std::span(shown).subspan(static_cast<size_t>(r * keys), static_cast<size_t>(keys));
    std::fill(visible.begin(), visible.end(), 1);
    Keys::show(row, visible.subspan(static_cast<size_t>(memory)));
  }
};
struct AllKeys {
  static void show(const RowContext&, std::span<uint8_t>) {}
};
void show_moved(RowContext row, int64_t q_pos, std::span<uint8_t> visible) {
  row.q_pos = q_pos;
  std::vector<double> bias(row.problem.mask.adds_bias() ? visible.size() : 0);
  mask_row(row, {visible, bias});
}
struct TopLeft {
  static void show(const RowContext& row, std::span<uint8_t> visible) {
    show_moved(row, row.i, visible);
  }
};
struct OneMore {
  static void show(const RowContext& row, std::span<uint8_t> visible) {
    show_moved(row, row.q_pos + 1, visible);
  }
};

struct NotNormalised : BackwardTerms {
  void weights(const Problem&, UnscaledWeights w) const override { w.sum = 1; }
};
struct Base2 : BackwardTerms {
  void weights(const Problem&, UnscaledWeights w) const override {
    const double lse = w.max + std::log(w.sum);
    w.p = ((w.s - lse) * std::numbers::ln2).exp();
    w.sink_p = std::exp2(w.sink - lse);
    w.sum = 1;
  }
};
struct NoSoftcapSlope : BackwardTerms {
  void softcap_slope(const Problem&, BackwardRow& slope) const override { slope.setOnes(); }
};
/// 1 − (cap · t)² for 1 − t².
struct SlopeNotDivided : BackwardTerms {
  void softcap_slope(const Problem& p, BackwardRow& slope) const override {
    slope = 1 - p.softcap * p.softcap * (1 - slope);
  }
};
/// dS = A ∘ dP − A Σ P dP, with A, P after dropout, for P.
struct OfDropped : BackwardTerms {
  void ds(const BackwardRow& p, const BackwardRow& a, double dot, BackwardRow& ds) const override {
    ds -= (a - p) * dot;
  }
};
struct BiasOtherSide : BackwardTerms {
  void dbias(const Problem& p, const BackwardRow& ds, const BackwardRow& dz,
             BackwardRow& dbias) const override {
    dbias = p.bias_order == BiasOrder::after_softcap ? dz : ds;
  }
};
/// dP for dq from the first head_dim elements of v and grad_out.
struct DqOfHeadDim : BackwardTerms {
  void dq(const BackwardKeys& keys, const BackwardBlock& block, const Matrix& a,
          const Matrix& slope, double scale, Matrix& dq) const override {
    const Eigen::Index rest = keys.v.cols() - keys.k.cols();
    const Matrix dp = block.grad_out.rightCols(rest) * keys.v.rightCols(rest).transpose();
    dq -= scale * (dp.cwiseProduct(a).cwiseProduct(slope) * keys.k);
  }
};

constexpr Fault evaluated(std::string_view name, std::string_view words,
                          Rewritten (*rewrite)(const Case&), Evaluate evaluate) {
  return {.name = name, .words = words, .rewrite = rewrite, .evaluate = evaluate};
}

using Applies = bool (*)(const Case&);
template <Applies applies>
Rewritten same_if(const Case& c) {
  return applies(c) ? Rewritten(c) : std::nullopt;
}
template <Output output>
bool asks(const Case& c) {
  return c.problem.asks(output);
}
/// The maximum is worked out for cases without a cache alone.
bool asks_plain_lse(const Case& c) {
  return c.problem.asks(Output::lse) && !c.cached();
}
bool asks_sink_lse(const Case& c) {
  return c.problem.asks(Output::lse) && c.problem.sinks;
}
bool has_dropout(const Case& c) {
  return c.problem.has_dropout();
}
bool asks_of_groups(const Case& c) {
  return asks_of_keys(c) && is_grouped(c);
}
bool asks_of_mapped_groups(const Case& c) {
  return asks_of_groups(c) && c.problem.num_kv_heads > 1;
}
bool asks_of_heads(const Case& c) {
  return asks_of_keys(c) && c.problem.num_heads > 1;
}
bool has_rules(const Case& c) {
  return asks_gradients(c) && !c.problem.mask.rules.empty();
}
bool has_sinks(const Case& c) {
  return asks_gradients(c) && c.problem.sinks;
}
bool is_bottom_right(const Case& c) {
  return asks_gradients(c) && c.problem.mask.align == Align::bottom_right;
}
bool has_positions(const Case& c) {
  return asks_gradients(c) && is_positional(c);
}
bool has_wider_values(const Case& c) {
  return c.problem.asks(Output::dq) && c.problem.head_dim < c.problem.head_dim_v;
}
bool drops_dv(const Case& c) {
  return c.problem.asks(Output::dv) && c.problem.has_dropout();
}
bool caps_dbias(const Case& c) {
  return c.problem.asks(Output::dbias) && c.problem.softcap > 0;
}
bool has_memory_rows(const Case& c) {
  return asks_of_memory(c) && c.problem.batch > 1;
}

constexpr Fault table[] = {
    {"dropout-ignored", "no weights are dropped",
     [](const Case& c) { return with(c, &Problem::dropout_keep, int64_t{100}); }},
    evaluated("dropout-not-rescaled", "kept weights are not divided by the keep probability",
              same_if<has_dropout>, dropout_not_rescaled),
    evaluated("lse-base-2", "the log-sum-exp is a logarithm to base 2", same_if<asks<Output::lse>>,
              times<of_base_2, Output::lse>),
    evaluated("lse-without-max", "the log-sum-exp lacks the maximum that was subtracted",
              same_if<asks_plain_lse>, lse_without_max),
    evaluated("lse-without-sink", "the log-sum-exp lacks the sink", same_if<asks_sink_lse>,
              lse_without_sink),
    evaluated("grad-without-row-dot",
              "the softmax's gradient is P ∘ dP, without taking Σ P dP from dP",
              same_if<asks_gradients>, by_terms<NoRowDot>),
    evaluated("grad-row-dot-not-dropped", "Σ P dP in the backward pass is taken before dropout",
              same_if<drops>, by_terms<RowDotNotDropped>),
    evaluated("dq-not-scaled", "dq lacks the scale", same_if<asks<Output::dq>>,
              times<inverse_scale, Output::dq>),
    evaluated("dk-not-scaled", "dk lacks the scale", same_if<asks_of_keys>,
              times<inverse_scale, Output::dk, Output::dmem_k>),
    evaluated("dq-scaled-twice", "dq has the scale twice", same_if<asks<Output::dq>>,
              times<the_scale, Output::dq>),
    evaluated("dk-scaled-twice", "dk has the scale twice", same_if<asks_of_keys>,
              times<the_scale, Output::dk, Output::dmem_k>),
    evaluated("grad-first-head-of-group",
              "a KV head's gradients come from the first of its query heads alone",
              same_if<asks_of_groups>, of_one_head<true>),
    evaluated("grad-last-head-of-group",
              "a KV head's gradients come from the last of its query heads alone",
              same_if<asks_of_groups>, of_one_head<false>),
    evaluated("grad-head-map", "dk and dv of a query head go to the KV head of the other head map",
              same_if<asks_of_mapped_groups>, by_head_map<other_map>),
    evaluated("grad-head-by-share",
              "dk and dv of query head h go to KV head h mod the share, (num_heads / "
              "num_kv_heads)",
              same_if<asks_of_heads>, by_head_map<by_share>),
    evaluated("grad-not-masked", "the backward pass gives hidden keys weight", same_if<has_rules>,
              by_terms<OtherMask<AllKeys>>),
    evaluated("grad-not-dropped", "the backward pass has no dropout", same_if<drops>,
              of_undropped<true>),
    evaluated("grad-without-sink", "the backward pass normalises the weights without the sink",
              same_if<has_sinks>, gradients_without_sink),
    evaluated("grad-without-softcap-slope", "the backward pass takes the softcap for the identity",
              same_if<has_softcap>, by_terms<NoSoftcapSlope>),
    evaluated("grad-softcap-slope-not-divided",
              "the softcap's slope is made from the score, not from the score / cap",
              same_if<has_softcap>, by_terms<SlopeNotDivided>),
    evaluated("grad-not-normalised", "the backward pass does not divide P by its sum",
              same_if<asks_gradients>, by_terms<NotNormalised>),
    evaluated("grad-base-2", "the backward pass makes P by powers of 2 without log2(e)",
              same_if<asks_gradients>, by_terms<Base2>),
    evaluated("grad-mask-top-left",
              "the backward pass masks as if query 0 stood at key 0, unlike the forward pass",
              same_if<is_bottom_right>, by_terms<OtherMask<TopLeft>>),
    evaluated("grad-mask-one-more",
              "queries stand one position farther on in the backward pass alone",
              same_if<has_positions>, by_terms<OtherMask<OneMore>>),
    evaluated("grad-of-dropped", "the softmax's gradient is made of the weights after dropout",
              same_if<drops>, by_terms<OfDropped>),
    evaluated("dq-of-head-dim", "dq is made from the first head_dim elements of v and grad_out",
              same_if<has_wider_values>, by_terms<DqOfHeadDim>),
    evaluated("dv-not-dropped", "dv is made from the weights without dropout", same_if<drops_dv>,
              of_undropped<false>),
    evaluated("dsinks-negated", "the sinks' gradient has the wrong sign",
              same_if<asks<Output::dsinks>>, times<negative, Output::dsinks>),
    evaluated("dbias-scaled", "the bias's gradient is multiplied by the scale",
              same_if<asks<Output::dbias>>, times<the_scale, Output::dbias>),
    evaluated("dbias-other-side", "the bias's gradient is taken on the other side of the softcap",
              same_if<caps_dbias>, by_terms<BiasOtherSide>),
    evaluated("dmem-last-row", "the memory's gradients come from the last batch row alone",
              same_if<has_memory_rows>, memory_of_last_row),
};

}  // namespace

std::span<const Fault> backward() {
  return table;
}

}  // namespace attnfuzz::fault
