#pragma once
#include <vector>

#include "oracle/inputs.h"
#include "targets/cpu/block.h"
#include "targets/cpu/cpu_target.h"

namespace attnfuzz {

/// The inputs that all steps share, as bytes.
struct SharedInputs {
  const std::byte* mask = nullptr;  ///< only if a rule needs one in memory (boolean)
  const std::byte* bias = nullptr;  ///< only if a rule needs one in memory (bias)
  std::vector<double> sinks;        ///< empty: none
  const std::byte* mem_k = nullptr;
  const std::byte* mem_v = nullptr;

  SharedInputs(const Problem& problem, const Inputs& inputs);
};

/// Where the queries of one batch row are, in bytes, and where they stand.
struct RowQueries {
  View<const std::byte> q;
  View<std::byte> out;
  int64_t first = 0;           ///< the first that is real
  int64_t count = 0;           ///< those that are real
  int64_t q_len = 0;           ///< the tensor's
  int64_t first_position = 0;  ///< of the first real query
  KeyRange keys;               ///< that are there to be seen
  int64_t reach = 0;           ///< > 0: a query sees at most so many keys back (ring cache)
  double* lse = nullptr;       ///< [batch, num_heads, q_len], null: not wanted
  int64_t sinks = 0;           ///< > 0: and the first so many (sink_window cache)
  int64_t chunk = 0;           ///< > 0: a query sees the keys of its chunk (chunked cache)
};

/// The query rows of batch row b that KV head g serves: heads are packed into the rows, so that
/// each key tile is read once for all of them.
std::vector<QueryRow> query_rows(const Problem& problem, const SharedInputs& shared, int64_t b,
                                 int64_t g, const RowQueries& queries);

/// The memory keys of KV head g; count 0 without.
KeySegment memory_segment(const Problem& problem, const SharedInputs& shared, int64_t g);

/// Strides of a [batch, heads, len, dim] tensor in bytes.
View<const std::byte> bytes_of(Layout layout, const Tensor& tensor);
View<std::byte> bytes_of(Layout layout, Tensor& tensor);

/// Calls f with a Block of the dtype's element type's tag: f(std::type_identity<float>{}) …
template <class F>
auto with_element_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f64:
      return f(std::type_identity<double>{});
    case DType::f16:
      return f(std::type_identity<Eigen::half>{});
    case DType::bf16:
      return f(std::type_identity<Eigen::bfloat16>{});
    default:
      return f(std::type_identity<float>{});
  }
}

}  // namespace attnfuzz
