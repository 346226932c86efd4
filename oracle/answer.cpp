#include "oracle/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

#include "oracle/attention.h"
#include "oracle/backward.h"
#include "oracle/cache_model.h"
#include "oracle/linear/answer.h"
#include "oracle/misreading.h"
#include "oracle/rows.h"
#include "oracle/stored.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// The q, k and v that came with one step.
struct StepRows {
  Source q, k, v;
};

/// What one batch row's queries look at, and where they stand.
struct RowView {
  std::span<const Token> tokens;
  std::span<const int64_t> key_pos;  ///< of tokens
  int64_t first_query = 0;           ///< position of the first real query
  int64_t first_real = 0;            ///< which of the step's queries that is
  int64_t queries = 0;               ///< real ones
  int64_t row = 0;                   ///< of the batch
  bool prefill = false;
};

/// Which of the pairs of batch row and key head an Answerer does.
struct Share {
  int64_t number = 0, of = 1;

  bool has(const Problem& p, int64_t b, int64_t g) const {
    return (b * p.num_kv_heads + g) % of == number;
  }
};

class Answerer {
 public:
  Answerer(const Case& c, const Inputs& inputs, const ErrorModel* model, const Sample& sample,
           Share share = {})
      : c_(c),
        p_(c.problem),
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
    if (p_.has_dropout()) {
      dropout_ = inputs.at("dropout").to_doubles();
      const double rescale =
          has_slip(p_, Slip::dropout_not_rescaled) ? 1 : 100 / static_cast<double>(p_.dropout_keep);
      for (double& kept : dropout_) kept *= rescale;
    }
  }

  Answer run() {
    if (c_.cached()) {
      run_steps();
    } else {
      run_plain();
    }
    return std::move(answer_);
  }

 private:
  void run_plain() {
    sources_.push_back(source(""));
    std::vector<Token> tokens(static_cast<size_t>(p_.kv_len));
    std::vector<int64_t> key_pos(tokens.size());
    std::iota(key_pos.begin(), key_pos.end(), 0);
    begin_step(p_.q_len);
    for (int64_t b = 0; b < p_.batch; ++b) {
      for (int64_t j = 0; j < p_.kv_len; ++j) {
        tokens[static_cast<size_t>(j)] = {0, static_cast<int32_t>(b), j};
      }
      attend_row(0, b, {tokens, key_pos, query_position(p_, 0), 0, p_.q_len, b});
    }
  }

  void run_steps() {
    cache_.emplace(c_);
    for (size_t n = 0; n < c_.steps.size(); ++n) {
      const Step& step = c_.steps[n];
      cache_->apply(n);
      sources_.emplace_back();
      if (step.has_tokens()) {
        sources_.back() = source(fmt::format(".{}", n));
        begin_step(step.q_len);
        for (int64_t b = 0; b < p_.batch; ++b) {
          attend_row(n, b,
                     {cache_->tokens(b), key_positions(b), first_position(b), cache_->first_new(b),
                      cache_->new_tokens(b), b, step.op == StepOp::prefill});
        }
      } else {
        answer_.steps.emplace_back();
      }
      answer_.steps.back().lengths = cache_->lengths();
      answer_.steps.back().positions = cache_->next_positions();
      answer_.steps.back().capacity = cache_->capacity();
    }
  }

  /// Where masks take a row's keys to stand.
  std::span<const int64_t> key_positions(int64_t b) {
    const std::span<const int64_t> right = cache_->positions(b);
    const CacheReading& read = misreading_of(p_).cache;
    if (read.key_position == nullptr) return right;
    told_.resize(right.size());
    for (size_t j = 0; j < right.size(); ++j)
      told_[j] = read.key_position(cache_->place(b, j), cache_->past_length(b), c_.cache->capacity);
    return told_;
  }
  int64_t first_position(int64_t b) const {
    return cache_->past_length(misreading_of(p_).cache.positions_of_first_row ? 0 : b);
  }

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
      if (output == Output::lse) more.judged = step.judged;
      more.values.assign(
          static_cast<size_t>(more.judged ? more.judged->count() : element_count(more.shape)), 0.0);
      if (model_ != nullptr) more.bound.assign(more.values.size(), inf);
    }
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

  void attend_row(size_t step, int64_t b, const RowView& view) {
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      if (!share_.has(p_, b, g)) continue;
      bool gathered = false;
      for (int64_t h = 0; h < p_.num_heads; ++h) {
        if (p_.kv_head(h) != g || !find_queries(b, h, view)) continue;
        if (!gathered) gather(g, view);
        gathered = true;
        attend_head(step, b, h, view);
      }
    }
  }

  /// Fills wanted_ with the row's real queries that are worked out for the head; whether there are
  /// any, or all are wanted.
  bool find_queries(int64_t b, int64_t h, const RowView& view) {
    const std::optional<RowSample>& judged = answer_.steps.back().judged;
    wanted_.clear();
    if (!judged) {
      wanted_.resize(static_cast<size_t>(view.queries));
      std::iota(wanted_.begin(), wanted_.end(), 0);
      return true;
    }
    if (!std::binary_search(judged->heads.begin(), judged->heads.end(), RowSample::BatchHead{b, h}))
      return false;
    for (const int64_t row : judged->rows)
      if (row >= view.first_real && row < view.first_real + view.queries)
        wanted_.push_back(row - view.first_real);
    return !wanted_.empty();
  }

  void gather(int64_t g, const RowView& view) {
    const auto dim = static_cast<size_t>(p_.head_dim), dim_v = static_cast<size_t>(p_.head_dim_v);
    keys_.reset(p_.memory_kv + static_cast<int64_t>(view.tokens.size()), p_.head_dim, p_.head_dim_v,
                model_ != nullptr, quantised_);
    for (int64_t j = 0; j < p_.memory_kv; ++j) {
      const auto at = static_cast<size_t>(g * p_.memory_kv + j);
      const std::span<double> key = std::span(mem_k_).subspan(at * dim, dim);
      set_sizes(key, size_k_);
      keys_.set(j, key, std::span(mem_v_).subspan(at * dim_v, dim_v), turned_sizes());
    }
    key_.resize(dim);
    value_.resize(dim_v);
    for (size_t n = 0; n < view.tokens.size(); ++n) {
      read(&StepRows::k, cache_ ? cache_->key(view.row, n) : view.tokens[n], g, key_);
      read(&StepRows::v, cache_ ? cache_->value(view.row, n) : view.tokens[n], g, value_);
      turn(p_, key_angle(view, n), key_);
      const int64_t j = p_.memory_kv + static_cast<int64_t>(n);
      if (quantised_) {
        quantise(view, g, view.key_pos[n]);
        join_pairs(p_, size_k_);
        keys_.set(j, key_, value_, {size_k_, size_v_, error_k_, error_v_});
      } else {
        set_sizes(key_, size_k_);
        keys_.set(j, key_, value_, turned_sizes());
      }
    }
  }

  void read(Source StepRows::*which, const Token& token, int64_t g, std::span<double> to) const {
    if (token.step < 0) return std::fill(to.begin(), to.end(), 0.0);
    ((*sources_[static_cast<size_t>(token.step)]).*which).read(token.row, g, token.i, to);
  }

  /// Of the key whose sizes size_k_ holds.
  HeadKeys::Sizes turned_sizes() {
    join_pairs(p_, size_k_);
    return {.k = size_k_};
  }

  int64_t key_angle(const RowView& view, size_t j) const {
    const CacheReading& read = misreading_of(p_).cache;
    if (read.key_angle == nullptr) return view.key_pos[j];
    return read.key_angle(cache_->place(view.row, j));
  }
  /// A wrong scale by the right one; 1: it is the right one.
  double scale_taken(const RowView& view, int64_t g, const std::vector<double>& scales) const {
    const CacheReading& read = misreading_of(p_).cache;
    if (read.scale_head == nullptr || scales.empty()) return 1;
    const int64_t taken = read.scale_head(g, view.prefill);
    return (taken < 0 ? 1 : scales[static_cast<size_t>(taken)]) / scales[static_cast<size_t>(g)];
  }
  int64_t query_angle(const RowView& view, int64_t q_pos) const {
    const CacheReading& read = misreading_of(p_).cache;
    if (read.query_angle == nullptr) return q_pos;
    return read.query_angle({q_pos, q_pos, view.first_query, 0, view.row, true});
  }

  static void set_sizes(std::span<const double> x, std::vector<double>& sizes) {
    sizes.resize(x.size());
    for (size_t d = 0; d < x.size(); ++d) sizes[d] = std::abs(x[d]);
  }

  /// key_ and value_ as the cache holds them.
  void quantise(const RowView& view, int64_t g, int64_t position) {
    const auto hold = [&](double turned, const std::vector<double>& scales, std::vector<double>& x,
                          std::vector<double>& size, std::vector<double>& error) {
      error.resize(x.size());
      set_sizes(x, size);
      if (turned > 0) join_pairs(p_, size);
      off_.resize(x.size());
      for (size_t d = 0; d < x.size(); ++d) off_[d] = 1.5 * turned * size[d];
      store(*c_.cache, p_.dtype, scales.empty() ? 0 : scales[static_cast<size_t>(g)], off_, x,
            error);
      const double other = scale_taken(view, g, scales);
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

  void attend_head(size_t step, int64_t b, int64_t h, const RowView& view) {
    constexpr size_t block = 64;
    const auto stride = static_cast<size_t>(keys_.stride);
    const double sink = p_.sinks ? sinks_[static_cast<size_t>(h)] : -inf;
    const bool biased = p_.mask.adds_bias();
    StepAnswer& to = answer_.steps.back();
    const Rows rows(p_.layout, to.shape);
    q_.resize(block * static_cast<size_t>(p_.head_dim));
    abs_q_.resize(q_.size());
    const int64_t farthest = view.key_pos.empty() ? 0 : std::abs(view.key_pos.back());
    for (size_t begin = 0; begin < wanted_.size(); begin += block) {
      const size_t end = std::min(wanted_.size(), begin + block), count = end - begin;
      visible_.assign(count * stride, 0);
      if (biased) bias_.assign(count * stride, 0.0);
      if (p_.has_dropout()) kept_.assign(count * stride, 0.0);
      queries_.clear();
      for (size_t n = 0; n < count; ++n) {
        const int64_t i = wanted_[begin + n];
        const auto dim = static_cast<size_t>(p_.head_dim);
        const std::span<double> q = std::span(q_).subspan(n * dim, dim);
        sources_[step]->q.read(b, h, view.first_real + i, q);
        const int64_t q_pos = view.first_query + i;
        turn(p_, query_angle(view, q_pos), q);
        const std::span<double> abs_q = std::span(abs_q_).subspan(n * dim, dim);
        if (model_ != nullptr) {
          for (size_t d = 0; d < dim; ++d) abs_q[d] = std::abs(q[d]);
          join_pairs(p_, abs_q);
        }
        uint8_t* visible = visible_.data() + n * stride;
        double* bias = biased ? bias_.data() + n * stride : nullptr;
        mask(step, b, h, i, view, visible, bias);
        const int64_t row = view.first_real + i;
        const int64_t nth = to.judged ? to.judged->find(b, h, row) : 0;
        const int64_t at = to.judged ? nth * p_.head_dim_v : rows.index(b, h, row);
        double* kept = p_.has_dropout() ? kept_.data() + n * stride : nullptr;
        if (kept != nullptr) std::copy_n(dropout_row(b, h, i), keys_.size, kept);
        const auto [lse, lse_bound] = lse_at(b, h, row, nth);
        queries_.push_back({q.data(), abs_q.data(),
                            static_cast<double>(std::max(std::abs(q_pos), farthest)),
                            to.out.data() + at, model_ == nullptr ? nullptr : to.bound.data() + at,
                            visible, bias, kept, lse, lse_bound});
      }
      attention_.run(keys_, sink, queries_);
    }
  }

  /// An alternative's case may have fewer keys than the tensor: the last ones.
  const double* dropout_row(int64_t b, int64_t h, int64_t i) const {
    const int64_t width = inputs_.at("dropout").shape[3];
    return dropout_.data() + ((b * p_.num_heads + h) * p_.q_len + i + 1) * width - keys_.size;
  }

  void mask(size_t step, int64_t b, int64_t h, int64_t i, const RowView& view, uint8_t* visible,
            double* bias) const {
    const auto memory = static_cast<size_t>(p_.memory_kv);
    const std::span<uint8_t> seen(visible + memory, view.key_pos.size());
    std::fill_n(visible, memory + seen.size(), uint8_t{1});
    const int64_t q_pos = view.first_query + i;
    mask_row({p_, c_.data, b, h, i, q_pos, view.key_pos, c_.cached() ? 0 : first_token(p_, b),
              static_cast<int>(step)},
             {seen, bias == nullptr ? std::span<double>()
                                    : std::span<double>(bias + memory, seen.size())});
    if (!cache_) return;
    const int64_t g = p_.kv_head(h);
    for (size_t j = 0; j < seen.size(); ++j)
      seen[j] &= static_cast<uint8_t>(cache_->sees(q_pos, view.key_pos[j], g));
  }

  const Case& c_;
  const Problem& p_;
  const Inputs& inputs_;
  const ErrorModel* model_;
  const Sample& sample_;
  Share share_;
  std::optional<CacheModel> cache_;
  HeadAttention attention_;
  Answer answer_;
  std::vector<std::optional<StepRows>> sources_;  ///< by step
  bool quantised_ = false;
  std::vector<double> sinks_, mem_k_, mem_v_, dropout_, k_scales_, v_scales_;
  HeadKeys keys_;
  std::vector<double> key_, value_, q_, abs_q_, bias_, kept_;
  std::vector<double> size_k_, size_v_, error_k_, error_v_, off_;
  std::vector<uint8_t> visible_;
  std::vector<int64_t> told_, wanted_;
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
  if (c.problem.recurrent()) return recurrent_answer(c, inputs, &precision);
  const ErrorModel model(c.problem, precision);
  const int64_t units = c.problem.batch * c.problem.num_kv_heads;
  const int64_t shares = std::clamp<int64_t>(threads, 1, std::max<int64_t>(1, units));
  std::vector<Answer> parts(static_cast<size_t>(shares));
  const auto compute = [&](int64_t n) {
    parts[static_cast<size_t>(n)] = Answerer(c, inputs, &model, sample, {n, shares}).run();
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

Answer answer(const Case& c, const Inputs& inputs) {
  if (c.problem.recurrent()) return recurrent_answer(c, inputs, nullptr);
  const Sample all;
  Answer answer = Answerer(c, inputs, nullptr, all).run();
  if (c.problem.asks_gradients()) add_gradients(c, inputs, nullptr, answer.steps.front());
  return answer;
}

}  // namespace attnfuzz
