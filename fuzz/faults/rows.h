#pragma once
#include <vector>

#include "oracle/inputs.h"

namespace attnfuzz {

/// The keys that one query of a case without a cache sees, memory keys first.
struct RowKeys {
  struct Key {
    int64_t j;  ///< −1: a memory key
    double score;
    const double* v;  ///< [head_dim_v]
  };
  int64_t b, h, i;
  std::vector<Key> keys;
  double sink;  ///< −inf: none
};

/// The tensors of a case in double, [batch, heads, len, dim].
class RowReader {
 public:
  RowReader(const Case& c, const Inputs& inputs);  ///< the case must outlive it
  RowReader(const Case&&, const Inputs&) = delete;
  /// `clamp`: the softcap cuts scores off instead of bending them.
  RowKeys row(int64_t b, int64_t h, int64_t i, bool clamp = false) const;

 private:
  const Problem& problem_;
  std::vector<double> q_, k_, v_, mem_k_, mem_v_, sinks_;
  DenseMask mask_;
};

}  // namespace attnfuzz
