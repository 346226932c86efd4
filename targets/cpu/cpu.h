#pragma once
#include <memory>

#include "targets/target.h"

namespace attnfuzz {

/// Plain loops over whole rows: the simplest thing that is right.
std::unique_ptr<Target> open_cpu_naive();

/// Online softmax over tiles of queries and keys, with the tiles that a mask hides skipped.
std::unique_ptr<Target> open_cpu_tiled();

/// For few queries: the keys in parts, merged by log-sum-exp.
std::unique_ptr<Target> open_cpu_split_kv();

/// The blocks of keys that a mask lists for each block of queries, and no others.
std::unique_ptr<Target> open_cpu_sparse();

/// Sequences of different lengths packed on one axis of tokens, found by cu_seqlens.
std::unique_ptr<Target> open_cpu_varlen();

/// Inputs that lie as views: with gaps, transposed, as parts of one buffer, or shared by all rows.
std::unique_ptr<Target> open_cpu_strided();

/// Inputs, weights and output in e4m3 or e5m2.
std::unique_ptr<Target> open_cpu_fp8();

/// KV caches, read by the tiled kernel: contiguous, in pages, a ring of the last tokens, one that
/// starts anew with each chunk, one with heads of two kinds, one that keeps the first and the last
/// tokens, one of 8-bit numbers, and one that is filled once.
std::unique_ptr<Target> open_cpu_dense_cache();
std::unique_ptr<Target> open_cpu_paged_cache();
std::unique_ptr<Target> open_cpu_ring_cache();
std::unique_ptr<Target> open_cpu_chunked_cache();
std::unique_ptr<Target> open_cpu_hybrid_cache();
std::unique_ptr<Target> open_cpu_sink_window_cache();
std::unique_ptr<Target> open_cpu_quantised_cache();
std::unique_ptr<Target> open_cpu_cross_cache();

/// Attention with a state (oracle/linear/kinds.h): token by token, and in chunks.
std::unique_ptr<Target> open_cpu_linear_recurrent();
std::unique_ptr<Target> open_cpu_linear_chunked();

}  // namespace attnfuzz
