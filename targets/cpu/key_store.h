#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "targets/cpu/block.h"
#include "targets/cpu/cpu_target.h"

namespace attnfuzz {

/// Sizes of what a cache holds.
struct StoreShape {
  int64_t batch, heads;
  int64_t k_bytes, v_bytes;  ///< of one token of one head
  int64_t capacity, page_size, keep;

  StoreShape(const Problem& problem, const Cache& cache);
};

/// New tokens of one batch row; strides in bytes.
struct NewTokens {
  View<const std::byte> k, v;
  int64_t b = 0, first = 0, count = 0;  ///< the first may stand behind padding

  const std::byte* k_at(int64_t head, int64_t i) const { return k.at(b, head, first + i); }
  const std::byte* v_at(int64_t head, int64_t i) const { return v.at(b, head, first + i); }
};

/// Where a cached target keeps keys and values: what it does to its memory is what the caches under
/// test do.
class KeyStore {
 public:
  virtual ~KeyStore() = default;
  /// Adds tokens to the row new_tokens.b. Throws std::length_error when they do not fit.
  virtual void append(const NewTokens& new_tokens) = 0;
  /// All keys of a row and head that the step's queries may see, in order of position.
  virtual void segments(int64_t b, int64_t head, std::vector<KeySegment>& to) const = 0;
  /// Ends a step: the inputs that append was given are about to go.
  virtual void settle() {}
  virtual void reorder(std::span<const int64_t> rows) = 0;
  /// Drops tokens first … first + count − 1 of a row; those behind move up.
  /// A store that forgets by itself need not.
  virtual void evict(int64_t /*b*/, int64_t /*first*/, int64_t /*count*/) {}
  virtual void crop(int64_t length) = 0;
  /// Tokens that ever came to the row and were not cropped: the position of its next token.
  virtual int64_t next_position(int64_t b) const = 0;
  /// Tokens that the row holds.
  virtual int64_t length(int64_t b) const { return next_position(b); }
  /// Tokens that a row can hold; 0: no limit.
  virtual int64_t capacity() const = 0;
  /// > 0: a query of KV head `head` sees at most so many keys back,
  virtual int64_t reach(int64_t /*head*/) const { return 0; }
  /// > 0: and besides the first so many, which come in segments of their own (KeySegment::sink).
  virtual int64_t sinks() const { return 0; }
  /// > 0: a query sees the keys of its own chunk of so many.
  virtual int64_t chunk() const { return 0; }
};

/// Contiguous, and a ring of the last tokens: what other stores are made of.
std::unique_ptr<KeyStore> make_dense_store(const StoreShape& shape);
std::unique_ptr<KeyStore> make_ring_store(const StoreShape& shape);

/// A Target whose cache is the KeyStore that `make` makes.
std::unique_ptr<Target> cached_target(std::string name, std::string about,
                                      std::string_view capabilities,
                                      std::unique_ptr<KeyStore> (*make)(const StoreShape&));

/// Capabilities of all cached targets but for the cache's own. `cache_features` are JSON strings,
/// `cache_sizes` members of an object, each with a comma after it.
std::string cache_capabilities(std::string_view cache_features, std::string_view cache_sizes);

}  // namespace attnfuzz
