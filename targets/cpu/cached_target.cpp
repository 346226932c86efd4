#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "targets/cpu/block_claims.h"
#include "targets/cpu/key_store.h"
#include "targets/cpu/quant_store.h"
#include "targets/cpu/query_rows.h"
#include "targets/cpu/rotary.h"
#include "targets/cpu/slot_positions.h"

namespace attnfuzz {
namespace {

constexpr size_t query_tile = 32;

/// One case on one store.
template <class T>
class Run {
 public:
  Run(const Case& c, const Inputs& inputs, std::unique_ptr<KeyStore> store)
      : c_(c),
        p_(c.problem),
        inputs_(inputs),
        shared_(c.problem, inputs),
        store_(std::move(store)),
        block_(c.problem),
        rotary_(c.problem),
        // What is rounded can not be turned later.
        turns_first_(rotary_.on() && c.cache->quant != Quant::none) {
    if (std::any_of(c.steps.begin(), c.steps.end(),
                    [](const Step& step) { return step.op == StepOp::evict; }))
      positions_.emplace(p_.batch, c.cache->positions);
  }

  StepOutput step(size_t n) {
    const Step& step = c_.steps[n];
    StepOutput output;
    if (positions_) positions_->follow(step);
    if (step.has_tokens())
      output.out = attend(step, n);
    else
      change(step);
    for (int64_t b = 0; b < p_.batch; ++b) {
      output.lengths.push_back(store_->length(b));
      output.positions.push_back(next_position(b));
    }
    output.capacity = store_->capacity();
    return output;
  }

 private:
  int64_t next_position(int64_t b) const {
    return positions_ ? positions_->next(b) : store_->next_position(b);
  }

  void change(const Step& step) {
    std::vector<int64_t> rows(static_cast<size_t>(p_.batch));
    std::iota(rows.begin(), rows.end(), 0);
    if (step.op == StepOp::fork) {
      rows[static_cast<size_t>(step.to)] = step.from;
      store_->reorder(rows);
    }
    if (step.op == StepOp::reorder) store_->reorder(step.rows);
    if (step.op == StepOp::crop) store_->crop(step.length);
    if (step.op == StepOp::reset) store_->crop(0);
    if (step.op == StepOp::evict)
      for (const int64_t b : rows) store_->evict(b, step.start, step.evicted(store_->length(b)));
  }

  Tensor attend(const Step& step, size_t n) {
    Tensor q = inputs_.at(fmt::format("q.{}", n)), k, v;
    if (step.keys() > 0) {
      k = inputs_.at(fmt::format("k.{}", n));
      v = inputs_.at(fmt::format("v.{}", n));
    }
    Tensor out(p_.dtype, shape_in(p_.layout, p_.batch, p_.num_heads, step.q_len, p_.head_dim_v));
    RowQueries queries;
    queries.q = bytes_of(p_.layout, std::as_const(q));
    queries.out = bytes_of(p_.layout, out);
    queries.chunk = store_->chunk();
    queries.sinks = store_->sinks();
    NewTokens tokens;
    if (step.keys() > 0)
      tokens = {bytes_of(p_.layout, std::as_const(k)), bytes_of(p_.layout, std::as_const(v))};
    for (int64_t b = 0; b < p_.batch; ++b) {
      const auto row = static_cast<size_t>(b);
      tokens.b = b;
      tokens.first = step.first_real(row);
      tokens.count = step.real_tokens(row);
      queries.first = step.first_query(row);
      queries.count = step.real_queries(row);
      queries.first_position = next_position(b);
      queries.keys = {0, queries.first_position + tokens.count};
      if (positions_) positions_->append(b, tokens.count);
      if (rotary_.on()) turn(q, b, queries.first, queries.count, queries.first_position);
      if (turns_first_ && tokens.count > 0)
        turn(k, b, tokens.first, tokens.count, queries.first_position);
      store_->append(tokens);
      for (int64_t g = 0; g < p_.num_kv_heads; ++g) attend_head(b, g, queries);
    }
    store_->settle();
    return out;
  }

  /// Tokens first … first + count − 1 of row b.
  void turn(Tensor& x, int64_t b, int64_t first, int64_t count, int64_t position) {
    const auto view = view_in(p_.layout, x.shape, x.as<T>());
    const int64_t heads = x.shape[p_.layout == Layout::bhsd ? 1 : 2];
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < count; ++i)
        rotary_.turn(view.at(b, h, first + i), position + i, view.at(b, h, first + i));
  }

  void attend_head(int64_t b, int64_t g, RowQueries& queries) {
    queries.reach = store_->reach(g);
    read(b, g);
    const std::vector<QueryRow> rows = query_rows(p_, shared_, b, g, queries);
    for (size_t r = 0; r < rows.size(); r += query_tile) {
      block_.start(std::span(rows).subspan(r, std::min(query_tile, rows.size() - r)));
      for (const KeySegment& segment : segments_) block_.add(segment);
      block_.finish();
    }
  }

  /// What row b's queries may see of KV head g.
  void read(int64_t b, int64_t g) {
    segments_.assign(1, memory_segment(p_, shared_, g));
    store_->segments(b, g, segments_);
    if (positions_) {
      parts_.assign(1, segments_.front());
      for (size_t n = 1; n < segments_.size(); ++n) positions_->split(b, segments_[n], parts_);
      segments_.swap(parts_);
    }
    if (rotary_.on() && !turns_first_) turn_segments();
  }

  /// Keys lie in the store as they came: an eviction may have moved them.
  void turn_segments() {
    int64_t count = 0;
    for (size_t n = 1; n < segments_.size(); ++n) count += segments_[n].count;
    turned_.resize(static_cast<size_t>(count * p_.head_dim));
    T* to = turned_.data();
    for (size_t n = 1; n < segments_.size(); ++n) {
      KeySegment& segment = segments_[n];
      const KeySegment from = segment;
      segment.k = reinterpret_cast<const std::byte*>(to);
      segment.k_stride = p_.head_dim * static_cast<int64_t>(sizeof(T));
      for (int64_t j = 0; j < from.count; ++j, to += p_.head_dim)
        rotary_.turn(reinterpret_cast<const T*>(from.k + j * from.k_stride), from.first + j, to);
    }
  }

  const Case& c_;
  const Problem& p_;
  const Inputs& inputs_;
  SharedInputs shared_;
  std::unique_ptr<KeyStore> store_;
  Block<T> block_;
  Rotary rotary_;
  bool turns_first_;
  std::optional<SlotPositions> positions_;
  std::vector<KeySegment> segments_, parts_;  ///< memory keys first
  std::vector<T> turned_;
};

class CachedTarget : public CpuTarget {
 public:
  CachedTarget(std::string name, std::string about, std::string_view capabilities, MakeStore make)
      : CpuTarget(std::move(name), std::move(about), capabilities), make_(make) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    Outcome outcome;
    try {
      with_element_type(c.problem.dtype, [&]<class T>(std::type_identity<T>) {
        Run<T> run(c, inputs,
                   c.cache->quant != Quant::none ? quantised_store(c, inputs, make_)
                                                 : make_(StoreShape(c.problem, *c.cache)));
        for (size_t n = 0; n < c.steps.size(); ++n) outcome.steps.push_back(run.step(n));
      });
    } catch (const std::length_error& e) {
      outcome.status = Status::error;
      outcome.text = e.what();
    }
    return outcome;
  }

  MakeStore make_;
};

}  // namespace

StoreShape::StoreShape(const Problem& problem, const Cache& cache)
    : batch(problem.batch),
      heads(problem.num_kv_heads),
      k_bytes(problem.head_dim * info(problem.dtype).bytes),
      v_bytes(problem.head_dim_v * info(problem.dtype).bytes),
      capacity(cache.capacity),
      page_size(cache.page_size),
      keep(cache.keep) {}

std::unique_ptr<Target> cached_target(std::string name, std::string about,
                                      std::string_view capabilities,
                                      std::unique_ptr<KeyStore> (*make)(const StoreShape&)) {
  return std::make_unique<CachedTarget>(std::move(name), std::move(about), capabilities, make);
}

std::string cache_capabilities(std::string_view cache_features, std::string_view cache_sizes) {
  return fmt::format(R"({{
    "sizes": {{{} "batch": [1, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32],
      "q_len": [0, 512], "kv_len": [0, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256],
      "memory_kv": [0, 32], "steps": [1, 64]}},
    "tiles": {{"q_len": [32], "kv_len": [64]}}, "max_rules": 3, "precision": {},
    "features": [{}, {}, "step:prefill", "step:append", "step:decode", "step:reorder",
      "step:crop", "step:reset", "step:fork", "ragged", "ragged_left"]
  }})",
                     cache_sizes, block_precision, block_features, cache_features);
}

}  // namespace attnfuzz
