#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "targets/cpu/block_claims.h"
#include "targets/cpu/key_store.h"
#include "targets/cpu/query_rows.h"
#include "targets/cpu/slot_positions.h"

namespace attnfuzz {
namespace {

constexpr size_t query_tile = 32;

class CachedTarget : public CpuTarget {
 public:
  using Make = std::unique_ptr<KeyStore> (*)(const StoreShape&);
  CachedTarget(std::string name, std::string about, std::string_view capabilities, Make make)
      : CpuTarget(std::move(name), std::move(about), capabilities), make_(make) {}

 private:
  Outcome compute(const Case& c, const Inputs& inputs) override {
    Outcome outcome;
    try {
      with_element_type(c.problem.dtype,
                        [&]<class T>(std::type_identity<T>) { run_steps<T>(c, inputs, outcome); });
    } catch (const std::length_error& e) {
      outcome.status = Status::error;
      outcome.text = e.what();
    }
    return outcome;
  }

  template <class T>
  void run_steps(const Case& c, const Inputs& inputs, Outcome& outcome) const {
    const SharedInputs shared(c.problem, inputs);
    const auto store = make_(StoreShape(c.problem, *c.cache));
    Block<T> block(c.problem);
    std::optional<SlotPositions> positions;
    if (std::any_of(c.steps.begin(), c.steps.end(),
                    [](const Step& step) { return step.op == StepOp::evict; }))
      positions.emplace(c.problem.batch, c.cache->positions);
    for (size_t n = 0; n < c.steps.size(); ++n) {
      const Step& step = c.steps[n];
      StepOutput output;
      if (positions) positions->follow(step);
      if (step.has_tokens())
        output.out = attend(c.problem, step, n, inputs, shared, *store, positions, block);
      else
        change(step, *store, c.problem.batch);
      for (int64_t b = 0; b < c.problem.batch; ++b) {
        output.lengths.push_back(store->length(b));
        output.positions.push_back(positions ? positions->next(b) : store->next_position(b));
      }
      output.capacity = c.cache->capacity;
      outcome.steps.push_back(std::move(output));
    }
  }

  static void change(const Step& step, KeyStore& store, int64_t batch) {
    std::vector<int64_t> rows(static_cast<size_t>(batch));
    std::iota(rows.begin(), rows.end(), 0);
    if (step.op == StepOp::fork) {
      rows[static_cast<size_t>(step.to)] = step.from;
      store.reorder(rows);
    }
    if (step.op == StepOp::reorder) store.reorder(step.rows);
    if (step.op == StepOp::crop) store.crop(step.length);
    if (step.op == StepOp::reset) store.crop(0);
    if (step.op == StepOp::evict)
      for (const int64_t b : rows) store.evict(b, step.start, step.evicted(store.length(b)));
  }

  template <class T>
  static Tensor attend(const Problem& p, const Step& step, size_t n, const Inputs& inputs,
                       const SharedInputs& shared, KeyStore& store,
                       std::optional<SlotPositions>& positions, Block<T>& block) {
    const auto input = [&](std::string_view name) {
      return bytes_of(p.layout, inputs.at(fmt::format("{}.{}", name, n)));
    };
    Tensor out(p.dtype, shape_in(p.layout, p.batch, p.num_heads, step.q_len, p.head_dim_v));
    NewTokens tokens{input("k"), input("v")};
    RowQueries queries;
    queries.q = input("q");
    queries.out = bytes_of(p.layout, out);
    queries.reach = store.reach();
    queries.chunk = store.chunk();
    std::vector<KeySegment> segments, parts;
    for (int64_t b = 0; b < p.batch; ++b) {
      tokens.b = b;
      tokens.first = queries.first = step.first_real(static_cast<size_t>(b));
      tokens.count = queries.count = step.real_tokens(static_cast<size_t>(b));
      queries.first_position = positions ? positions->next(b) : store.next_position(b);
      if (positions) positions->append(b, tokens.count);
      queries.keys = {0, queries.first_position + tokens.count};
      store.append(tokens);
      for (int64_t g = 0; g < p.num_kv_heads; ++g) {
        segments.clear();
        segments.push_back(memory_segment(p, shared, g));
        store.segments(b, g, segments);
        if (positions) {
          parts.assign(segments.begin(), segments.begin() + 1);
          for (size_t n_th = 1; n_th < segments.size(); ++n_th)
            positions->split(b, segments[n_th], parts);
          segments.swap(parts);
        }
        const std::vector<QueryRow> rows = query_rows(p, shared, b, g, queries);
        for (size_t r = 0; r < rows.size(); r += query_tile) {
          block.start(std::span(rows).subspan(r, std::min(query_tile, rows.size() - r)));
          for (const KeySegment& segment : segments) block.add(segment);
          block.finish();
        }
      }
    }
    store.settle();
    return out;
  }

  Make make_;
};

}  // namespace

StoreShape::StoreShape(const Problem& problem, const Cache& cache)
    : batch(problem.batch),
      heads(problem.num_kv_heads),
      k_bytes(problem.head_dim * info(problem.dtype).bytes),
      v_bytes(problem.head_dim_v * info(problem.dtype).bytes),
      capacity(cache.capacity),
      page_size(cache.page_size) {}

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
