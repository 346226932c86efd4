#pragma once
#include <cstdint>
#include <span>
#include <tuple>
#include <variant>
#include <vector>

#include "oracle/bounds.h"
#include "oracle/case.h"
#include "oracle/sizes.h"

namespace attnfuzz {

/// The keys and values of one batch row and KV head, memory keys first, as doubles in the order
/// that the products like. Rows are padded with zeros (see padded).
class HeadKeys {
 public:
  /// An infinity or NaN in v, kept apart so that it can not spoil the sums of those who don't see
  /// it. `v` holds 0 in its place.
  struct Special {
    int64_t j, d;
    double value;
  };

  /// What is for bounds only: how large the elements may be, whatever rope does to them (empty: as
  /// they are), and how far a target's may be from them.
  struct Sizes {
    std::span<const double> k = {}, v = {};
    std::span<const double> error_k = {}, error_v = {};
  };

  /// What is kept for bounds: nothing, or sizes in one precision or the other.
  enum class Bounds : uint8_t { none, in_float, in_double };

  /// Room for `new_size` keys. Set each with set(), in order. `inexact`: with errors.
  void reset(int64_t new_size, int64_t new_head_dim, int64_t new_head_dim_v, Bounds bounds,
             bool inexact = false);
  void set(int64_t j, std::span<const double> k, std::span<const double> v, const Sizes& sizes);

  int64_t size = 0, head_dim = 0, head_dim_v = 0;
  int64_t stride = 0, stride_v = 0;  ///< padded(size), padded(head_dim_v)
  std::vector<double> k;             ///< [head_dim, stride]: transposed
  std::vector<double> v;             ///< [size, stride_v]
  std::variant<KeySizes<float>, KeySizes<double>> sizes;
  std::vector<double> largest_v;  ///< [stride_v] max |v|
  double k_norm = 0;              ///< largest finite ‖k‖₁
  bool with_errors = false;
  std::vector<Special> specials;

 private:
  void set_key(int64_t j, std::span<const double> key, const Sizes& given);
  void set_value(int64_t j, std::span<const double> value, const Sizes& given);
  void transpose(int64_t first);

  bool bounded_ = false;
  /// [head_dim, lane]: keys, their sizes and errors that are yet to be put in their places. Eight
  /// at a time, as places of one key lie far apart.
  std::vector<double> waiting_, waiting_size_, waiting_error_;
};

/// One query and where its answer goes.
struct Query {
  const double* q;               ///< [head_dim]
  const double* abs_q;           ///< [head_dim] how large they may be, whatever rope does to them
  double position;               ///< the farthest of its own and its keys', as rope sees them
  double* out;                   ///< [head_dim_v]
  double* bound;                 ///< [head_dim_v], nullptr: not wanted
  uint8_t* visible;              ///< [keys.stride], memory keys included, 0 in the padding
  const double* bias;            ///< [keys.stride], nullptr: none
  const double* kept = nullptr;  ///< [keys.stride] dropout's factors, 0 or 1/keep; nullptr: none
  double* lse = nullptr;         ///< nullptr: not wanted
  double* lse_bound = nullptr;
};

/// O(n²) attention of some queries of one head over its keys, with the error bound. Keeps its
/// buffers from call to call.
class HeadAttention {
 public:
  HeadAttention(const Problem& problem, const ErrorModel* model);

  void run(const HeadKeys& keys, double sink, std::span<const Query> queries);

 private:
  /// How the answer of a row comes about.
  struct Row {
    bool sums = false;     ///< by the formula; else `constant`
    bool uniform = false;  ///< with all scores 0
    double constant = 0;
    bool unchecked = false;
    double max = 0;  ///< of the scores and the sink
    double sum = 0;  ///< Σ p with the sink's
    RowError error;
  };

  void tile(const HeadKeys& keys, double sink, std::span<const Query> queries);
  Row plan(const HeadKeys& keys, double sink, const Query& query) const;
  void find_range(const HeadKeys& keys, std::span<const Query> queries);
  void multiply_keys(const HeadKeys& keys, std::span<const Query> queries);
  void multiply_values(const HeadKeys& keys);
  template <class T>
  void multiply_key_sizes(const HeadKeys& keys, const KeySizes<T>& sizes,
                          std::span<const Query> queries);
  template <class T>
  void multiply_value_sizes(const HeadKeys& keys, const KeySizes<T>& sizes);
  template <class T>
  void bound_row(const HeadKeys& keys, double sink, const Query& query, size_t r);
  template <class T>
  void bound_elements(const HeadKeys& keys, const Query& query, size_t r);
  void scores(const Query& query, bool uniform, double* s) const;
  void softmax(double sink, const Query& query, size_t r);
  void drop(const HeadKeys& keys, const Query& query, size_t r);
  void finish(const HeadKeys& keys, const Query& query, size_t r);
  void finish_lse(double sink, const Query& query, const Row& row) const;
  template <class T>
  void add_specials(const HeadKeys& keys, const Query& query, size_t r) const;

  const Problem& problem_;
  const ErrorModel* model_;
  std::vector<Row> rows_;
  int64_t first_ = 0, width_ = 0;  ///< the range of keys that a tile looks at
  std::vector<double> q_, s_, p_, o_;
  std::tuple<TileSizes<float>, TileSizes<double>> sizes_;
  std::vector<double> row_abs_, row_error_, row_w_;  ///< of one row: [width], or [head_dim_v]
};

}  // namespace attnfuzz
