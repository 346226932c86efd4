#pragma once
#include <Eigen/Core>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "oracle/case.h"
#include "targets/cpu/key_range.h"

namespace attnfuzz {

/// Keys and values of one KV head that lie in memory at even distances, at positions first …
/// first + count − 1. Memory keys have no position: every query sees them.
struct KeySegment {
  const std::byte* k = nullptr;
  const std::byte* v = nullptr;
  int64_t k_stride = 0, v_stride = 0;  ///< from token to token, in bytes
  int64_t first = 0, count = 0;
  bool memory = false;
  bool sink = false;  ///< QueryRow::sink_keys says which of them are seen
};

/// One query vector: where it lies, and which keys it sees.
struct QueryRow {
  const std::byte* q = nullptr;  ///< [head_dim]
  std::byte* out = nullptr;      ///< [head_dim_v]
  int64_t position = 0;
  KeyRange keys;                    ///< see visible_keys
  KeyRange sink_keys;               ///< the same among a sink_window's first keys
  const std::byte* mask = nullptr;  ///< [kv_len], by key position; null: all of `keys`
  const std::byte* bias = nullptr;  ///< [kv_len], by key position; null: ALiBi alone
  double alibi = 0;                 ///< slope
  double sink = -std::numeric_limits<double>::infinity();
  int64_t head = 0, query = 0;  ///< which one it is
  double* lse = nullptr;        ///< where the log-sum-exp goes; null: not wanted
};

/// Attention of a block of query rows by the online softmax (Milakov and Gimelshein 2018; Dao et
/// al. 2022): keys come in any number of segments, and blocks of the same rows over different keys
/// can be merged. T is the tensors' element type; sums are in Accumulator.
template <class T>
class Block {
 public:
  using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;
  static constexpr int64_t key_tile = 64;

  explicit Block(const Problem& problem);

  void start(std::span<const QueryRow> rows);
  void add(const KeySegment& segment);
  /// Takes in what `other` has added: same rows, other keys.
  void merge(const Block& other);
  /// Writes the rows' outputs.
  void finish();

 private:
  using Matrix = Eigen::Matrix<Accumulator, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using View = Eigen::Map<const Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;

  /// The running maximum and sum of a row.
  struct Running {
    Accumulator max, sum;
  };

  static KeyRange seen_by(const QueryRow& row, const KeySegment& segment);
  void add_tile(const KeySegment& segment, int64_t from, int64_t count);
  void weigh(size_t r, const KeySegment& segment, int64_t first, KeyRange seen, int64_t count);
  template <class Scores>
  void add_bias(const QueryRow& row, int64_t first, Scores&& scores) const;
  /// Rows of `dim` elements as accumulators: in place, or through `scratch` where T is narrower.
  static View widen(const std::byte* data, int64_t count, int64_t dim, int64_t stride,
                    Matrix& scratch);

  const Problem& problem_;
  Accumulator scale_, softcap_;
  std::vector<QueryRow> rows_;
  std::vector<Running> running_;
  KeyRange range_, sinks_;   ///< joined over the rows
  Matrix q_, scores_, out_;  ///< [rows, head_dim], [rows, ≤ key_tile], [rows, head_dim_v]
  Matrix k_scratch_, v_scratch_;
};

extern template class Block<float>;
extern template class Block<double>;
extern template class Block<Eigen::half>;
extern template class Block<Eigen::bfloat16>;

}  // namespace attnfuzz
