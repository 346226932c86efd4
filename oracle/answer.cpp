#include "oracle/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

#include "oracle/attention.h"
#include "oracle/backward.h"
#include "oracle/linear/answer.h"
#include "oracle/lower/visible.h"
#include "oracle/rows.h"
#include "oracle/sample_keys.h"
#include "oracle/stored.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// The q, k and v that came with one step.
struct StepRows {
  Source q, k, v;
};

/// Which of the pairs of batch row and KV head an Answerer does.
struct Share {
  int64_t number = 0, of = 1;

  bool has(const Problem& p, int64_t b, int64_t g) const {
    return (b * p.num_kv_heads + g) % of == number;
  }
};

class Answerer {
 public:
  Answerer(const Case& c, const Plan& plan, const Inputs& inputs, const ErrorModel* model,
           const Sample& sample, Share share = {})
      : c_(c),
        p_(c.problem),
        plan_(plan),
        inputs_(inputs),
        model_(model),
        sample_(sample),
        share_(share),
        attention_(c.problem, model) {
    if (p_.sinks) sinks_ = inputs.at("sinks").to_doubles();
    quantised_ = c.cached() && c.cache->quant != Quant::none;
    if (quantised_ && c.cache->scales == Scales::head) {
      k_scales_ = inputs.at("k_scales").to_doubles();
      v_scales_ = inputs.at("v_scales").to_doubles();
    }
    if (p_.memory_kv > 0) {
      mem_k_ = inputs.at("mem_k").to_doubles();
      mem_v_ = inputs.at("mem_v").to_doubles();
    }
    for (const auto& [name, tensor] : inputs.all())
      if (model != nullptr && name != "mask" && name != "bias" && name != "dropout" &&
          !fits_float_sizes(tensor))
        bounds_ = HeadKeys::Bounds::in_double;
    if (p_.has_dropout()) {
      dropout_ = inputs.at("dropout").to_doubles();
      const double rescale = 100 / static_cast<double>(p_.dropout_keep);
      for (double& kept : dropout_) kept *= rescale;
    }
  }

  Answer run() {
    for (size_t n = 0; n < plan_.steps.size(); ++n) {
      const StepPlan& step = plan_.steps[n];
      sources_.emplace_back();
      if (!c_.cached()) {
        sources_.back() = source("");
        begin_step(p_.q_len);
      } else if (c_.steps[n].has_tokens()) {
        sources_.back() = source(fmt::format(".{}", n));
        begin_step(c_.steps[n].q_len);
      } else {
        answer_.steps.emplace_back();
      }
      for (size_t b = 0; b < step.rows.size(); ++b)
        if (!step.rows[b].queries.empty()) attend_row(n, static_cast<int64_t>(b));
      answer_.steps.back().lengths = step.lengths;
      answer_.steps.back().positions = step.positions;
      answer_.steps.back().capacity = step.capacity;
    }
    return std::move(answer_);
  }

 private:
  StepRows source(const std::string& suffix) const {
    const Source q(p_.layout, inputs_.at("q" + suffix));
    const auto keys = [&](const char* name) {  // a cross cache's later steps bring none
      const Tensor* tensor = inputs_.find(name + suffix);
      return tensor == nullptr ? q : Source(p_.layout, *tensor);
    };
    return {q, keys("k"), keys("v")};
  }

  /// What no real query overwrites stays unchecked.
  void begin_step(int64_t q_len) {
    StepAnswer& step = answer_.steps.emplace_back();
    step.shape = shape_in(p_.layout, p_.batch, p_.num_heads, q_len, p_.head_dim_v);
    const size_t n = answer_.steps.size() - 1;
    if (n < sample_.size()) step.judged = sample_[n];
    const int64_t rows = step.judged ? step.judged->count() : p_.batch * p_.num_heads * q_len;
    step.out.assign(static_cast<size_t>(rows * p_.head_dim_v), 0.0);
    if (model_ != nullptr) step.bound.assign(step.out.size(), inf);
    for (const Output output : p_.outputs) {
      if (output == Output::out) continue;
      MoreAnswer& more = step.more.emplace_back();
      more.output = output;
      more.shape = output_spec(p_, output, q_len).shape;
      if (step.judged) more.judged = judged_of(output, *step.judged);
      const int64_t row = more.shape.size() > 3 ? more.shape.back() : 1;
      more.values.assign(
          static_cast<size_t>(more.judged ? more.judged->count() * row : element_count(more.shape)),
          0.0);
      if (model_ != nullptr) more.bound.assign(more.values.size(), inf);
    }
  }

  /// The rows of an output that are judged where `rows` are of out; none: all.
  std::optional<RowSample> judged_of(Output output, const RowSample& rows) const {
    if (output == Output::dk || output == Output::dv) return sample_keys(c_);
    const bool by_query = output == Output::lse || output == Output::dq || output == Output::dbias;
    return by_query ? std::optional(rows) : std::nullopt;
  }

  /// Where the lse of row (b, h, i) goes, the `nth` of those that are judged; none if it is not
  /// asked for.
  std::pair<double*, double*> lse_at(int64_t b, int64_t h, int64_t i, int64_t nth) {
    if (!p_.asks(Output::lse)) return {};
    MoreAnswer& lse = answer_.steps.back().more.front();
    const int64_t whole = (b * p_.num_heads + h) * lse.shape[2] + i;
    const auto at = static_cast<size_t>(lse.judged ? nth : whole);
    return {&lse.values[at], model_ == nullptr ? nullptr : &lse.bound[at]};
  }

  void attend_row(size_t step, int64_t b) {
    const RowPlan& row = plan_.steps[step].rows[static_cast<size_t>(b)];
    entries_ = row.entries();
    key_pos_.resize(entries_.size());
    farthest_ = 0;
    for (size_t j = 0; j < entries_.size(); ++j) {
      key_pos_[j] = entries_[j].position;
      farthest_ = std::max({farthest_, std::abs(key_pos_[j]), std::abs(entries_[j].angle)});
    }
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      if (!share_.has(p_, b, g)) continue;
      bool gathered = false;
      for (int64_t h = 0; h < p_.num_heads; ++h) {
        if (p_.kv_head(h) != g || !find_queries(row, b, h)) continue;
        if (!gathered) gather(step, g);
        gathered = true;
        attend_head(step, b, h);
      }
    }
  }

  /// A query that is worked out; `nth` is its number among the row's real ones.
  struct Wanted {
    int64_t i, position, angle, nth;
  };
  /// Fills wanted_ with the row's real queries that are worked out for the head; whether there are
  /// any.
  bool find_queries(const RowPlan& row, int64_t b, int64_t h) {
    const std::optional<RowSample>& judged = answer_.steps.back().judged;
    wanted_.clear();
    if (judged &&
        !std::binary_search(judged->heads.begin(), judged->heads.end(), RowSample::BatchHead{b, h}))
      return false;
    int64_t nth = 0;
    for (const QueryRun& run : row.queries)
      for (int64_t n = 0; n < run.count; ++n, ++nth)
        if (!judged || std::binary_search(judged->rows.begin(), judged->rows.end(), run.i + n))
          wanted_.push_back({run.i + n, run.position + n, run.angle + n, nth});
    return !wanted_.empty();
  }

  void gather(size_t step, int64_t g) {
    const auto dim = static_cast<size_t>(p_.head_dim), dim_v = static_cast<size_t>(p_.head_dim_v);
    keys_.reset(p_.memory_kv + static_cast<int64_t>(entries_.size()), p_.head_dim, p_.head_dim_v,
                model_ == nullptr ? HeadKeys::Bounds::none : bounds_, quantised_);
    for (int64_t j = 0; j < p_.memory_kv; ++j) {
      const auto at = static_cast<size_t>(g * p_.memory_kv + j);
      const std::span<double> key = std::span(mem_k_).subspan(at * dim, dim);
      set_sizes(key, size_k_);
      keys_.set(j, key, std::span(mem_v_).subspan(at * dim_v, dim_v), rotated_sizes());
    }
    key_.resize(dim);
    value_.resize(dim_v);
    for (size_t n = 0; n < entries_.size(); ++n) {
      const KeyEntry& entry = entries_[n];
      read(&StepRows::k, entry.key, g, key_);
      read(&StepRows::v, entry.value, g, value_);
      turn(p_, entry.angle, key_);
      const int64_t j = p_.memory_kv + static_cast<int64_t>(n);
      if (quantised_) {
        quantise(plan_.steps[step], g, entry.position);
        join_pairs(p_, size_k_);
        keys_.set(j, key_, value_, {size_k_, size_v_, error_k_, error_v_});
      } else {
        set_sizes(key_, size_k_);
        keys_.set(j, key_, value_, rotated_sizes());
      }
    }
  }

  void read(Source StepRows::*which, const Token& token, int64_t g, std::span<double> to) const {
    if (token == no_token) return std::fill(to.begin(), to.end(), 0.0);
    ((*sources_[static_cast<size_t>(token.step)]).*which).read(token.row, g, token.i, to);
  }

  /// Of the key whose sizes size_k_ holds.
  HeadKeys::Sizes rotated_sizes() {
    join_pairs(p_, size_k_);
    return {.k = size_k_};
  }

  /// The scale that the plan reads a head's keys or values with, relative to their own.
  static double scale_taken(const StepPlan& step, int64_t g, const std::vector<double>& scales) {
    if (step.scale_heads.empty() || scales.empty()) return 1;
    const int64_t taken = step.scale_heads[static_cast<size_t>(g)];
    return (taken < 0 ? 1 : scales[static_cast<size_t>(taken)]) / scales[static_cast<size_t>(g)];
  }

  static void set_sizes(std::span<const double> x, std::vector<double>& sizes) {
    sizes.resize(x.size());
    for (size_t d = 0; d < x.size(); ++d) sizes[d] = std::abs(x[d]);
  }

  /// key_ and value_ as the cache holds them.
  void quantise(const StepPlan& step, int64_t g, int64_t position) {
    const auto hold = [&](double turned, const std::vector<double>& scales, std::vector<double>& x,
                          std::vector<double>& size, std::vector<double>& error) {
      error.resize(x.size());
      set_sizes(x, size);
      if (turned > 0) join_pairs(p_, size);
      off_.resize(x.size());
      for (size_t d = 0; d < x.size(); ++d) off_[d] = 1.5 * turned * size[d];
      store(*c_.cache, p_.dtype, scales.empty() ? 0 : scales[static_cast<size_t>(g)], off_, x,
            error);
      const double other = scale_taken(step, g, scales);
      for (size_t d = 0; d < x.size() && other != 1; ++d) {
        x[d] *= other;
        error[d] *= other;
      }
      set_sizes(x, size);
      for (size_t d = 0; d < x.size(); ++d) size[d] += error[d];
    };
    const bool turns = model_ != nullptr && p_.rope != Rope::none;
    const double turned =
        turns ? model_->rope + model_->per_position * static_cast<double>(position) : 0;
    hold(turned, k_scales_, key_, size_k_, error_k_);
    hold(0, v_scales_, value_, size_v_, error_v_);
    join_pairs(p_, error_k_);
  }

  void attend_head(size_t step, int64_t b, int64_t h) {
    constexpr size_t block = 64;
    for (size_t begin = 0; begin < wanted_.size(); begin += block)
      attend_block(step, b, h,
                   std::span(wanted_).subspan(begin, std::min(block, wanted_.size() - begin)));
  }

  void attend_block(size_t step, int64_t b, int64_t h, std::span<const Wanted> wanted) {
    const auto stride = static_cast<size_t>(keys_.stride), dim = static_cast<size_t>(p_.head_dim);
    const size_t count = wanted.size();
    const bool biased = p_.mask.adds_bias();
    StepAnswer& to = answer_.steps.back();
    const Rows rows(p_.layout, to.shape);
    q_.resize(count * dim);
    abs_q_.resize(q_.size());
    visible_.assign(count * stride, 0);
    if (biased) bias_.assign(count * stride, 0.0);
    if (p_.has_dropout()) kept_.assign(count * stride, 0.0);
    queries_.clear();
    for (size_t n = 0; n < count; ++n) {
      const Wanted& query = wanted[n];
      const std::span<double> q = std::span(q_).subspan(n * dim, dim);
      sources_[step]->q.read(b, h, query.i, q);
      turn(p_, query.angle, q);
      const std::span<double> abs_q = std::span(abs_q_).subspan(n * dim, dim);
      if (model_ != nullptr) {
        for (size_t d = 0; d < dim; ++d) abs_q[d] = std::abs(q[d]);
        join_pairs(p_, abs_q);
      }
      uint8_t* visible = visible_.data() + n * stride;
      double* bias = biased ? bias_.data() + n * stride : nullptr;
      mask({step, b, h, query.nth, query.position}, visible, bias);
      const int64_t nth = to.judged ? to.judged->find(b, h, query.i) : 0;
      const int64_t at = to.judged ? nth * p_.head_dim_v : rows.index(b, h, query.i);
      double* kept = p_.has_dropout() ? kept_.data() + n * stride : nullptr;
      if (kept != nullptr) std::copy_n(dropout_row(b, h, query.nth), keys_.size, kept);
      const auto [lse, lse_bound] = lse_at(b, h, query.i, nth);
      queries_.push_back({q.data(), abs_q.data(),
                          static_cast<double>(std::max(
                              {std::abs(query.position), std::abs(query.angle), farthest_})),
                          to.out.data() + at, model_ == nullptr ? nullptr : to.bound.data() + at,
                          visible, bias, kept, lse, lse_bound});
    }
    attention_.run(keys_, p_.sinks ? sinks_[static_cast<size_t>(h)] : -inf, queries_);
  }

  /// A case may be evaluated on fewer keys than the tensor has: the last ones.
  const double* dropout_row(int64_t b, int64_t h, int64_t i) const {
    const int64_t width = inputs_.at("dropout").shape[3];
    return dropout_.data() + ((b * p_.num_heads + h) * p_.q_len + i + 1) * width - keys_.size;
  }

  void mask(const MaskedQuery& query, uint8_t* visible, double* bias) const {
    const auto memory = static_cast<size_t>(p_.memory_kv);
    const size_t keys = key_pos_.size();
    std::fill_n(visible, memory, uint8_t{1});
    show_keys(c_, query, key_pos_,
              {{visible + memory, keys},
               bias == nullptr ? std::span<double>() : std::span<double>(bias + memory, keys)});
  }

  const Case& c_;
  const Problem& p_;
  const Plan& plan_;
  const Inputs& inputs_;
  const ErrorModel* model_;
  const Sample& sample_;
  Share share_;
  HeadAttention attention_;
  Answer answer_;
  std::vector<std::optional<StepRows>> sources_;  ///< by step
  bool quantised_ = false;
  HeadKeys::Bounds bounds_ = HeadKeys::Bounds::in_float;
  std::vector<double> sinks_, mem_k_, mem_v_, dropout_, k_scales_, v_scales_;
  HeadKeys keys_;
  std::vector<double> key_, value_, q_, abs_q_, bias_, kept_;
  std::vector<double> size_k_, size_v_, error_k_, error_v_, off_;
  std::vector<uint8_t> visible_;
  std::vector<KeyEntry> entries_;  ///< of the row at hand
  std::vector<int64_t> key_pos_;
  int64_t farthest_ = 0;  ///< of the positions by which masks and rope go
  std::vector<Wanted> wanted_;
  std::vector<Query> queries_;
};

/// Copies what a share has computed of one step.
void take_step(const Problem& p, const Share& share, const StepAnswer& from, StepAnswer& to) {
  const auto dim = static_cast<size_t>(p.head_dim_v);
  const Rows rows(p.layout, from.shape);
  const int64_t q_len = from.shape[p.layout == Layout::bhsd ? 2 : 1];
  const auto copy = [&](int64_t at, int64_t row) {
    std::copy_n(from.out.begin() + at, dim, to.out.begin() + at);
    std::copy_n(from.bound.begin() + at, dim, to.bound.begin() + at);
    if (!p.asks(Output::lse)) return;
    const auto n = static_cast<size_t>(row);
    to.more.front().values[n] = from.more.front().values[n];
    to.more.front().bound[n] = from.more.front().bound[n];
  };
  if (from.judged) {
    const auto per_head = std::ssize(from.judged->rows);
    for (int64_t row = 0; row < from.judged->count(); ++row) {
      const auto [b, h] = from.judged->heads[static_cast<size_t>(row / per_head)];
      if (share.has(p, b, p.kv_head(h))) copy(row * p.head_dim_v, row);
    }
    return;
  }
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h) {
      if (!share.has(p, b, p.kv_head(h))) continue;
      for (int64_t i = 0; i < q_len; ++i)
        copy(rows.index(b, h, i), (b * p.num_heads + h) * q_len + i);
    }
}

void take(const Problem& p, const Share& share, const Answer& from, Answer& to) {
  for (size_t s = 0; s < from.steps.size(); ++s)
    if (!from.steps[s].shape.empty()) take_step(p, share, from.steps[s], to.steps[s]);
}

}  // namespace

Answer answer(const Case& c, const Inputs& inputs, const Precision& precision, int threads) {
  return answer(c, inputs, precision, sample_of(c), threads);
}

Answer answer(const Case& c, const Inputs& inputs, const Precision& precision, const Sample& sample,
              int threads) {
  return evaluate(c, lower(c), inputs, precision, sample, threads);
}

Answer answer(const Case& c, const Inputs& inputs) {
  const Plan plan = lower(c);
  if (c.problem.recurrent()) return recurrent_answer(c, plan, inputs, nullptr);
  const Sample all;
  Answer answer = Answerer(c, plan, inputs, nullptr, all).run();
  if (c.problem.asks_gradients()) add_gradients(c, inputs, nullptr, answer.steps.front());
  return answer;
}

Answer evaluate(const Case& c, const Plan& plan, const Inputs& inputs, const Precision& precision,
                const Sample& sample, int threads) {
  if (c.problem.recurrent()) return recurrent_answer(c, plan, inputs, &precision);
  const ErrorModel model(c.problem, precision);
  const int64_t units = c.problem.batch * c.problem.num_kv_heads;
  const int64_t shares = std::clamp<int64_t>(threads, 1, std::max<int64_t>(1, units));
  std::vector<Answer> parts(static_cast<size_t>(shares));
  const auto compute = [&](int64_t n) {
    parts[static_cast<size_t>(n)] = Answerer(c, plan, inputs, &model, sample, {n, shares}).run();
  };
  {
    std::vector<std::jthread> others;
    for (int64_t n = 1; n < shares; ++n) others.emplace_back(compute, n);
    compute(0);
  }
  for (int64_t n = 1; n < shares; ++n)
    take(c.problem, {n, shares}, parts[static_cast<size_t>(n)], parts[0]);
  if (c.problem.asks_gradients()) add_gradients(c, inputs, &precision, parts[0].steps.front());
  return std::move(parts[0]);
}

}  // namespace attnfuzz
