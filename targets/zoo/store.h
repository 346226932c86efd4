#pragma once
#include <memory>
#include <vector>

#include "targets/zoo/kernel.h"

namespace attnfuzz::zoo {

/// New tokens of one batch row.
struct NewTokens {
  const Operand& k;
  const Operand& v;
  int64_t b, first, count;
};

/// Where a cache of the zoo keeps keys and values: [slot][element] with a slot for each token of
/// each KV head, found by slot(). Keeps positions beside them.
class Store {
 public:
  Store(const Context& x, const Cache& cache);
  virtual ~Store() = default;

  /// Throws std::length_error when they do not fit.
  virtual void append(const NewTokens& tokens) = 0;
  /// The keys of a row and head that the step's queries may look at.
  virtual void keys(int64_t b, int64_t g, std::vector<Key>& to) const;
  /// Ends a step.
  virtual void settle() {}
  virtual void crop(int64_t b, int64_t length);
  void reset(int64_t b);
  virtual void evict(int64_t b, int64_t start, int64_t count);
  /// Row `to` becomes a copy of row `from` as it was when hold() was called.
  virtual void hold() = 0;
  virtual void copy_row(int64_t to, int64_t from) = 0;

  virtual int64_t length(int64_t b) const { return count(b); }
  int64_t capacity() const { return cache.capacity; }
  int64_t next(int64_t b) const { return row(b).next; }
  /// > 0: a query sees at most so many keys back.
  virtual int64_t reach() const { return 0; }

 protected:
  struct Row {
    std::vector<int64_t> positions;  ///< of the tokens that it holds
    int64_t next = 0;                ///< position of the next token
  };
  Row& row(int64_t b) { return rows[static_cast<size_t>(b)]; }
  const Row& row(int64_t b) const { return rows[static_cast<size_t>(b)]; }
  int64_t count(int64_t b) const { return static_cast<int64_t>(row(b).positions.size()); }

  virtual int64_t slot(int64_t b, int64_t n, int64_t g) const = 0;
  /// Called before token n of row b is written.
  virtual void make_own(int64_t /*b*/, int64_t /*n*/) {}
  /// Called when a row has got shorter.
  virtual void release(int64_t /*b*/) {}
  /// Copies a vector of k and one of v into a slot.
  void write(int64_t slot, const double* k, const double* v);
  void copy(int64_t to, int64_t from);
  void resize(int64_t slots);
  const double* k_at(int64_t slot) const { return k.data() + slot * x.problem.head_dim; }
  const double* v_at(int64_t slot) const { return v.data() + slot * x.problem.head_dim_v; }

  const Context& x;
  Cache cache;
  std::vector<Row> rows;
  std::vector<double> k, v;
};

std::unique_ptr<Store> make_dense_store(const Context& x, const Cache& cache);
std::unique_ptr<Store> make_paged_store(const Context& x, const Cache& cache);
std::unique_ptr<Store> make_ring_store(const Context& x, const Cache& cache);
std::unique_ptr<Store> make_store(const Context& x, const Cache& cache);

}  // namespace attnfuzz::zoo
