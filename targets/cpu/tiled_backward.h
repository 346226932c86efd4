#pragma once
#include <Eigen/Core>
#include <span>
#include <type_traits>
#include <vector>

#include "oracle/inputs.h"
#include "targets/cpu/block.h"
#include "targets/outcome.h"

namespace attnfuzz {

/// The backward pass over tiles of queries and keys, with P made anew from the log-sum-exp of the
/// forward pass and Σ P dP from its output (Dao 2024, FlashAttention-2). Gradients of keys are
/// summed in Accumulator over all queries that a KV head serves.
template <class T>
class TiledBackward {
 public:
  using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

  /// Writes to the gradients that `step` has.
  TiledBackward(const Problem& problem, const Inputs& inputs, StepOutput& step);

  /// The rows that KV head g of batch row b serves, after their forward pass.
  void add(int64_t b, int64_t g, std::span<const QueryRow> rows, const KeySegment& memory,
           const KeySegment& keys);
  /// Writes what is summed over the batch.
  void finish();

 private:
  using Matrix = Eigen::Matrix<Accumulator, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Array = Eigen::Array<Accumulator, 1, Eigen::Dynamic>;

  /// Keys and values of one segment, and what they get.
  struct Side {
    Matrix k, v, dk, dv;
  };
  /// One tile of queries.
  struct Tile {
    std::span<const QueryRow> rows;
    Matrix q, grad_out, dq;
    Array row_dots;
  };

  void load(const KeySegment& segment, Side& side) const;
  void start(int64_t b, std::span<const QueryRow> rows, Tile& tile) const;
  void add_tile(int64_t b, Tile& tile, const KeySegment& segment, Side& side, int64_t first,
                int64_t count);
  void weigh(const QueryRow& row, const KeySegment& segment, int64_t first, Eigen::Index r);
  void write(Output output, int64_t at, const Matrix& from, Eigen::Index row);
  int64_t token_offset(int64_t heads, int64_t len, int64_t dim, int64_t b, int64_t h,
                       int64_t s) const;

  const Problem& p_;
  const T* grad_out_;
  const T* out_;
  StepOutput& step_;
  Matrix scores_, slopes_, dp_;
  std::vector<Side> memory_;         ///< by KV head; summed over the batch
  std::vector<Accumulator> dsinks_;  ///< by query head
};

extern template class TiledBackward<float>;
extern template class TiledBackward<double>;
extern template class TiledBackward<Eigen::half>;
extern template class TiledBackward<Eigen::bfloat16>;

}  // namespace attnfuzz
