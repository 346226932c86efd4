#include <algorithm>

#include "targets/cpu/cpu.h"
#include "targets/cpu/key_store.h"

namespace attnfuzz {
namespace {

StoreShape with_capacity(StoreShape shape, int64_t capacity) {
  shape.capacity = capacity;
  return shape;
}

/// The first `keep` tokens of each row in a store of their own, those behind them in a ring (Xiao
/// et al. 2024, StreamingLLM).
class SinkWindowStore : public KeyStore {
 public:
  explicit SinkWindowStore(const StoreShape& shape)
      : keep_(shape.keep),
        capacity_(shape.capacity),
        sinks_(make_dense_store(with_capacity(shape, shape.keep))),
        ring_(make_ring_store(with_capacity(shape, shape.capacity - shape.keep))) {}

  void append(const NewTokens& tokens) override {
    NewTokens first = tokens, rest = tokens;
    first.count = std::min(tokens.count, keep_ - sinks_->length(tokens.b));
    rest.first += first.count;
    rest.count -= first.count;
    sinks_->append(first);
    ring_->append(rest);
  }
  void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const override {
    const size_t before = to.size();
    sinks_->segments(b, head, to);
    for (size_t n = before; n < to.size(); ++n) to[n].sink = true;
    const size_t between = to.size();
    ring_->segments(b, head, to);
    for (size_t n = between; n < to.size(); ++n) to[n].first += keep_;
  }
  void settle() override { ring_->settle(); }
  void reorder(std::span<const int64_t> rows) override {
    sinks_->reorder(rows);
    ring_->reorder(rows);
  }
  void crop(int64_t length) override {
    sinks_->crop(length);
    ring_->crop(std::max<int64_t>(0, length - keep_));
  }
  int64_t next_position(int64_t b) const override {
    return sinks_->length(b) + ring_->next_position(b);
  }
  int64_t length(int64_t b) const override { return sinks_->length(b) + ring_->length(b); }
  int64_t capacity() const override { return capacity_; }
  int64_t reach(int64_t) const override { return capacity_ - keep_; }
  int64_t sinks() const override { return keep_; }

 private:
  int64_t keep_, capacity_;
  std::unique_ptr<KeyStore> sinks_, ring_;
};

}  // namespace

std::unique_ptr<Target> open_cpu_sink_window_cache() {
  return cached_target("cpu:sink-window-cache",
                       "a KV cache that keeps the first tokens of each row and the last",
                       cache_capabilities(R"("cache:sink_window")", R"("capacity": [2, 512],)"),
                       [](const StoreShape& shape) -> std::unique_ptr<KeyStore> {
                         return std::make_unique<SinkWindowStore>(shape);
                       });
}

}  // namespace attnfuzz
