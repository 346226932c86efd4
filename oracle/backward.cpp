#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "oracle/backward_pass.h"
#include "oracle/rows.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr Eigen::Index block_rows = 64;

/// The sum of shares that an implementation may round one by one to the output's type before it
/// adds them up: of query heads, and then of batch rows.
struct Total {
  BackwardSum sum;
  Matrix sizes;  ///< Σ |share|
  double shares = 0, levels = 1;
  bool unchecked = false;

  void reset(Eigen::Index rows, Eigen::Index dim) {
    sum.value.setZero(rows, dim);
    sum.error.setZero(rows, dim);
    sizes.setZero(rows, dim);
    shares = 0;
    unchecked = false;
  }
  template <class Value, class Error>
  void add(const Value& value, const Error& error) {
    sum.value += value;
    sum.error += error;
    sizes += value.cwiseAbs();
    ++shares;
  }
};

/// A gradient to be filled; does nothing where it is not asked for.
class Destination {
 public:
  Destination(StepAnswer& step, Output which, const ErrorModel* model) : model_(model) {
    for (MoreAnswer& more : step.more)
      if (more.output == which) to_ = &more;
  }
  bool wanted() const { return to_ != nullptr; }
  /// The rows that are judged; nullptr: all.
  const RowSample* judged() const { return wanted() && to_->judged ? &*to_->judged : nullptr; }

  /// `sizes`: of what has been rounded to the output's type before; `shares`: how often.
  void set(int64_t at, double value, double error, double sizes, double shares, bool unchecked) {
    const auto n = static_cast<size_t>(at);
    to_->values[n] = value;
    if (model_ == nullptr) return;
    const ErrorModel& m = *model_;
    double bound = error + m.u_out * sizes + shares * m.tiny_out;
    const double largest = std::max(std::abs(value), sizes) + bound;
    bound += m.u_out * (std::abs(value) + bound) + m.tiny_out;
    to_->bound[n] = !unchecked && largest <= m.max_out ? bound * (1 + 1e-6) : inf;
  }

  /// One row of a total, at element `at` of the output.
  void set_row(int64_t at, const Total& total, Eigen::Index row) {
    const double levels = total.shares > 1 ? total.levels : 0;
    for (Eigen::Index d = 0; d < total.sum.value.cols(); ++d)
      set(at + d, total.sum.value(row, d), total.sum.error(row, d),
          levels * (total.sizes(row, d) + total.sum.error(row, d)), levels * total.shares,
          total.unchecked);
  }

 private:
  const ErrorModel* model_;
  MoreAnswer* to_ = nullptr;
};

class Backward {
 public:
  Backward(const Case& c, const Inputs& inputs, const ErrorModel* model, StepAnswer& step,
           const BackwardTerms& terms)
      : c_(c),
        p_(c.problem),
        inputs_(inputs),
        model_(model),
        memory_(p_.memory_kv),
        keys_(memory_ + p_.kv_len),
        terms_(terms),
        head_(p_, model, std::max<int64_t>(1, p_.batch * p_.q_len * group()), terms),
        dq_(step, Output::dq, model),
        dk_(step, Output::dk, model),
        dv_(step, Output::dv, model),
        dbias_(step, Output::dbias, model),
        dsinks_(step, Output::dsinks, model),
        dmem_k_(step, Output::dmem_k, model),
        dmem_v_(step, Output::dmem_v, model),
        step_(step) {
    for (const char* name : {"q", "k", "v", "grad_out"}) read(name);
    for (const char* name : {"sinks", "mem_k", "mem_v", "dropout"})
      if (const Tensor* tensor = inputs.find(name)) values_[name] = tensor->to_doubles();
  }

  void run() {
    if (step_.judged) return run_sampled(*step_.judged);
    sink_totals_.resize(static_cast<size_t>(p_.num_heads));
    for (Total& total : sink_totals_) total.reset(1, 1);
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      memory_k_.reset(memory_, p_.head_dim);
      memory_v_.reset(memory_, p_.head_dim_v);
      memory_k_.levels = memory_v_.levels = p_.batch > 1 ? 2 : 1;
      for (int64_t b = 0; b < p_.batch; ++b) key_head(b, g);
      for (int64_t j = 0; j < memory_; ++j) {
        if (dmem_k_.wanted()) dmem_k_.set_row((g * memory_ + j) * p_.head_dim, memory_k_, j);
        if (dmem_v_.wanted()) dmem_v_.set_row((g * memory_ + j) * p_.head_dim_v, memory_v_, j);
      }
    }
    for (int64_t h = 0; dsinks_.wanted() && h < p_.num_heads; ++h)
      dsinks_.set_row(h, sink_totals_[static_cast<size_t>(h)], 0);
  }

 private:
  int64_t group() const {
    return std::max<int64_t>(1, p_.num_heads / std::max<int64_t>(1, p_.num_kv_heads));
  }

  void read(const std::string& name) {
    const Tensor& tensor = inputs_.at(name);
    values_[name] = tensor.to_doubles();
    rows_.emplace(name, Rows(p_.layout, tensor.shape));
  }

  /// Token s of head h as a row of `to`; whether all of it is finite.
  bool copy_row(const char* name, int64_t b, int64_t h, int64_t s, Matrix& to, Eigen::Index row) {
    const double* from = values_.at(name).data() + rows_.at(name).index(b, h, s);
    return copy(from, to, row);
  }
  static bool copy(const double* from, Matrix& to, Eigen::Index row) {
    bool finite = true;
    for (Eigen::Index d = 0; d < to.cols(); ++d) {
      finite = finite && std::isfinite(from[d]);
      to(row, d) = from[d];
    }
    if (!finite)
      to.row(row) = to.row(row).unaryExpr([](double x) { return std::isfinite(x) ? x : 0; });
    return finite;
  }

  void gather(int64_t b, int64_t g) {
    gathered_.k.resize(keys_, p_.head_dim);
    gathered_.v.resize(keys_, p_.head_dim_v);
    gathered_.finite.assign(static_cast<size_t>(keys_), 1);
    for (int64_t j = 0; j < memory_; ++j) {
      copy(values_["mem_k"].data() + (g * memory_ + j) * p_.head_dim, gathered_.k, j);
      copy(values_["mem_v"].data() + (g * memory_ + j) * p_.head_dim_v, gathered_.v, j);
    }
    for (int64_t j = memory_; j < keys_; ++j) {
      const bool k = copy_row("k", b, g, j - memory_, gathered_.k, j);
      const bool v = copy_row("v", b, g, j - memory_, gathered_.v, j);
      gathered_.finite[static_cast<size_t>(j)] = static_cast<uint8_t>(k && v);
    }
  }

  void key_head(int64_t b, int64_t g) {
    total_k_.reset(keys_, p_.head_dim);
    total_v_.reset(keys_, p_.head_dim_v);
    gather(b, g);
    for (int64_t h = 0; h < p_.num_heads; ++h)
      if (p_.kv_head(h) == g) query_head(b, h);
    total_v_.unchecked = total_k_.unchecked;
    memory_k_.unchecked |= total_k_.unchecked;
    memory_v_.unchecked |= total_k_.unchecked;
    for (int64_t j = memory_; j < keys_; ++j) {
      if (dk_.wanted()) dk_.set_row(rows_.at("k").index(b, g, j - memory_), total_k_, j);
      if (dv_.wanted()) dv_.set_row(rows_.at("v").index(b, g, j - memory_), total_v_, j);
    }
  }

  /// Of a long case: the gradients of the judged queries, and of some keys.
  void run_sampled(const RowSample& rows) {
    std::vector<int64_t> queries;
    for (size_t n = 0; n < rows.heads.size() && (dq_.wanted() || dbias_.wanted()); ++n) {
      const auto [b, h] = rows.heads[n];
      gather(b, p_.kv_head(h));
      for (size_t first = 0; first < rows.rows.size(); first += block_rows) {
        const size_t end = std::min(rows.rows.size(), first + block_rows);
        queries.assign(rows.rows.begin() + static_cast<std::ptrdiff_t>(first),
                       rows.rows.begin() + static_cast<std::ptrdiff_t>(end));
        fill_block(b, h, queries);
        place_queries(static_cast<int64_t>(n * rows.rows.size() + first),
                      head_.run(gathered_, block_));
      }
    }
    const RowSample* keys = dk_.wanted() ? dk_.judged() : dv_.judged();
    if (keys == nullptr) return;
    for (size_t n = 0; n < keys->heads.size(); ++n) sampled_key_head(*keys, n);
  }

  void sampled_key_head(const RowSample& keys, size_t nth) {
    const auto [b, g] = keys.heads[nth];
    std::vector<Eigen::Index> columns;
    for (const int64_t j : keys.rows) columns.push_back(memory_ + j);
    const auto count = std::ssize(columns);
    total_k_.reset(count, p_.head_dim);
    total_v_.reset(count, p_.head_dim_v);
    gather(b, g);
    for (int64_t h = 0; h < p_.num_heads; ++h) {
      if (p_.kv_head(h) != g) continue;
      reset_head(count);
      for (int64_t first = 0; first < p_.q_len; first += block_rows) {
        fill_block(b, h, neighbours(first));
        const BackwardShare& share = head_.run(gathered_, block_, columns);
        add_to_head(share);
        mark_unchecked(share);
      }
      total_k_.add(head_k_.value, head_k_.error);
      total_v_.add(head_v_.value, head_v_.error);
    }
    total_v_.unchecked = total_k_.unchecked;
    for (Eigen::Index j = 0; j < count; ++j) {
      const auto row = static_cast<int64_t>(nth) * count + j;
      if (dk_.wanted()) dk_.set_row(row * p_.head_dim, total_k_, j);
      if (dv_.wanted()) dv_.set_row(row * p_.head_dim_v, total_v_, j);
    }
  }

  /// What belongs to judged queries alone, the `nth` and those that follow.
  void place_queries(int64_t nth, const BackwardShare& share) {
    for (Eigen::Index r = 0; r < share.dq.value.rows(); ++r) {
      put(dq_, (nth + r) * p_.head_dim, share, share.dq, r, 0);
      put(dbias_, (nth + r) * p_.kv_len, share, share.ds, r, memory_);
    }
  }

  void reset_head(Eigen::Index keys) {
    head_k_.value.setZero(keys, p_.head_dim);
    head_v_.value.setZero(keys, p_.head_dim_v);
    head_k_.error = head_k_.value;
    head_v_.error = head_v_.value;
  }
  void add_to_head(const BackwardShare& share) {
    head_k_.value += share.dk.value;
    head_v_.value += share.dv.value;
    if (model_ == nullptr) return;
    head_k_.error += share.dk.error;
    head_v_.error += share.dv.error;
  }

  void mark_unchecked(const BackwardShare& share) {
    for (const uint8_t unchecked : share.unchecked) total_k_.unchecked |= unchecked != 0;
  }

  /// A block of queries from `first` on.
  std::vector<int64_t> neighbours(int64_t first) const {
    std::vector<int64_t> queries(static_cast<size_t>(std::min(block_rows, p_.q_len - first)));
    std::iota(queries.begin(), queries.end(), first);
    return queries;
  }

  /// All queries of one head, block by block: what is theirs alone, and what the KV head gets.
  void query_head(int64_t b, int64_t h) {
    reset_head(keys_);
    for (int64_t first = 0; first < p_.q_len; first += block_rows) {
      fill_block(b, h, neighbours(first));
      const BackwardShare& share = head_.run(gathered_, block_);
      add_to_head(share);
      mark_unchecked(share);
      place(b, h, first, share);
    }
    total_k_.add(head_k_.value, head_k_.error);
    total_v_.add(head_v_.value, head_v_.error);
    memory_k_.add(head_k_.value.topRows(memory_), head_k_.error.topRows(memory_));
    memory_v_.add(head_v_.value.topRows(memory_), head_v_.error.topRows(memory_));
  }

  void fill_block(int64_t b, int64_t h, const std::vector<int64_t>& queries) {
    const auto rows = std::ssize(queries);
    block_.q.resize(rows, p_.head_dim);
    block_.grad_out.resize(rows, p_.head_dim_v);
    block_.visible.assign(static_cast<size_t>(rows * keys_), 1);
    if (p_.mask.adds_bias()) block_.bias.setZero(rows, keys_);
    if (p_.has_dropout()) block_.kept.resize(rows, keys_);
    if (p_.sinks) block_.sink = values_["sinks"][static_cast<size_t>(h)];
    std::vector<int64_t> key_pos(static_cast<size_t>(p_.kv_len));
    std::iota(key_pos.begin(), key_pos.end(), 0);
    const double rescale = 100 / static_cast<double>(p_.dropout_keep);
    block_.shown.clear();
    for (Eigen::Index r = 0; r < rows; ++r) {
      const int64_t i = queries[static_cast<size_t>(r)];
      copy_row("q", b, h, i, block_.q, r);
      copy_row("grad_out", b, h, i, block_.grad_out, r);
      const std::span<uint8_t> visible(block_.visible.data() + r * keys_ + memory_, key_pos.size());
      const std::span<double> bias = block_.bias.size() > 0
                                         ? std::span(&block_.bias(r, 0) + memory_, key_pos.size())
                                         : std::span<double>();
      const RowContext context{
          p_, c_.data, b, h, i, query_position(p_, i), key_pos, first_token(p_, b), 0};
      mask_row(context, {visible, bias});
      terms_.mask(context, memory_, keys_, r, block_.shown);
      if (!p_.has_dropout()) continue;
      // A case may be evaluated on fewer keys than the tensor has: the last ones.
      const std::vector<double>& dropout = values_["dropout"];
      const int64_t width = inputs_.at("dropout").shape[3];
      const int64_t end = ((b * p_.num_heads + h) * p_.q_len + i + 1) * width;
      for (int64_t j = 0; j < keys_; ++j)
        block_.kept(r, j) = rescale * dropout[static_cast<size_t>(end - keys_ + j)];
    }
  }

  /// What belongs to the block's queries alone, and what they make of the rest.
  void place(int64_t b, int64_t h, int64_t first, const BackwardShare& share) {
    Total& sink = sink_totals_[static_cast<size_t>(h)];
    sink.sum.value(0, 0) += share.dsink;
    sink.sum.error(0, 0) += share.dsink_error;
    for (Eigen::Index r = 0; r < share.dq.value.rows(); ++r) {
      sink.unchecked |= share.unchecked[static_cast<size_t>(r)] != 0;
      const int64_t i = first + r;
      put(dq_, rows_.at("q").index(b, h, i), share, share.dq, r, 0);
      put(dbias_, ((b * p_.num_heads + h) * p_.q_len + i) * p_.kv_len, share, share.ds, r, memory_);
    }
  }

  /// Row r of a gradient that belongs to queries alone, from column `from` on.
  void put(Destination& output, int64_t at, const BackwardShare& share, const BackwardSum& sum,
           Eigen::Index r, Eigen::Index from) {
    if (!output.wanted()) return;
    const bool unchecked = share.unchecked[static_cast<size_t>(r)] != 0;
    for (Eigen::Index d = from; d < sum.value.cols(); ++d)
      output.set(at + d - from, sum.value(r, d), model_ != nullptr ? sum.error(r, d) : 0, 0, 0,
                 unchecked);
  }

  const Case& c_;
  const Problem& p_;
  const Inputs& inputs_;
  const ErrorModel* model_;
  int64_t memory_, keys_;
  const BackwardTerms& terms_;
  HeadBackward head_;
  std::map<std::string, std::vector<double>> values_;
  std::map<std::string, Rows> rows_;
  BackwardKeys gathered_;
  BackwardBlock block_;
  BackwardSum head_k_, head_v_;
  Total total_k_, total_v_, memory_k_, memory_v_;
  std::vector<Total> sink_totals_;
  Destination dq_, dk_, dv_, dbias_, dsinks_, dmem_k_, dmem_v_;
  const StepAnswer& step_;
};

}  // namespace

void add_gradients_by(const BackwardTerms& terms, const Case& c, const Inputs& inputs,
                      const Precision* precision, StepAnswer& step) {
  std::optional<ErrorModel> model;
  if (precision != nullptr) model.emplace(c.problem, *precision);
  Backward(c, inputs, model ? &*model : nullptr, step, terms).run();
}

void add_gradients(const Case& c, const Inputs& inputs, const Precision* precision,
                   StepAnswer& step) {
  add_gradients_by(BackwardTerms(), c, inputs, precision, step);
}

}  // namespace attnfuzz
