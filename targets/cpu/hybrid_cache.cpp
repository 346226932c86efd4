#include <stdexcept>

#include "targets/cpu/cpu.h"
#include "targets/cpu/key_store.h"

namespace attnfuzz {
namespace {

/// Every second head of `tokens`, from head `first` on.
NewTokens every_second_head(NewTokens tokens, int64_t first) {
  for (View<const std::byte>* view : {&tokens.k, &tokens.v}) {
    view->data += first * view->head;
    view->head *= 2;
  }
  return tokens;
}

StoreShape with_heads(StoreShape shape, int64_t heads) {
  shape.heads = heads;
  return shape;
}

/// Even heads in a store that keeps all tokens, odd ones in a ring.
class HybridStore : public KeyStore {
 public:
  explicit HybridStore(const StoreShape& shape)
      : all_(make_dense_store(unlimited(with_heads(shape, (shape.heads + 1) / 2)))),
        last_(make_ring_store(with_heads(shape, shape.heads / 2))) {}

  void append(const NewTokens& tokens) override {
    all_->append(every_second_head(tokens, 0));
    last_->append(every_second_head(tokens, 1));
  }
  void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const override {
    of(head).segments(b, head / 2, to);
  }
  void settle() override { last_->settle(); }
  void reorder(std::span<const int64_t> rows) override {
    all_->reorder(rows);
    last_->reorder(rows);
  }
  void crop(int64_t length) override {
    all_->crop(length);
    last_->crop(length);
  }
  int64_t next_position(int64_t b) const override { return last_->next_position(b); }
  int64_t length(int64_t b) const override { return all_->length(b); }
  int64_t capacity() const override { return 0; }
  int64_t reach(int64_t head) const override { return of(head).reach(head / 2); }

 private:
  static StoreShape unlimited(StoreShape shape) {
    shape.capacity = 0;
    return shape;
  }
  const KeyStore& of(int64_t head) const { return head % 2 == 0 ? *all_ : *last_; }

  std::unique_ptr<KeyStore> all_, last_;
};

}  // namespace

std::unique_ptr<Target> open_cpu_hybrid_cache() {
  return cached_target("cpu:hybrid-cache",
                       "a KV cache of heads that keep all tokens and heads that keep the last",
                       cache_capabilities(R"("cache:hybrid")", R"("capacity": [1, 512],)"),
                       [](const StoreShape& shape) -> std::unique_ptr<KeyStore> {
                         return std::make_unique<HybridStore>(shape);
                       });
}

}  // namespace attnfuzz
