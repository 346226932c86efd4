#ifndef ATTNFUZZ_TARGET_H
#define ATTNFUZZ_TARGET_H
/* The C interface of attnfuzz plug-ins: a shared library that holds attention implementations to be
 * tested. Needs this header and DLPack's (https://dmlc.github.io/dlpack), nothing to link with.
 * A worked example to copy: targets/example/my_attention.cpp. Then:
 *     c++ -shared -fPIC -O2 -I "$(attnfuzz include)" my_attention.cpp -o my_attention.so
 *     attnfuzz run -t ./my_attention.so
 *
 * The host owns all memory. Tensors live on the CPU, 64-byte aligned (but for those whose strides a
 * target claims: "strides:gaps", "strides:transposed" …), with guard zones and pages
 * around them: a write outside `out`, or to an input, is reported as an error or crashes at once.
 * The end of an input, or its start, is at a page that can't be read, so that a read beyond it
 * crashes too, whether or not its value is used. `out` starts filled with NaN.
 */
#include <dlpack/dlpack.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATTNFUZZ_ABI_VERSION 1

typedef enum attnfuzz_status {
  ATTNFUZZ_OK = 0,
  ATTNFUZZ_DECLINED = 1, /* a documented limit that `capabilities` cannot express */
  ATTNFUZZ_ERROR = 2,
  ATTNFUZZ_FATAL = 3 /* an error after which this process can do no more (a sticky CUDA error): it
                        is reported, and the next case meets a new process */
} attnfuzz_status;

/* What is asked for. Valid during the call only. New options come as new names, so this struct
 * stays. What the kinds and operations mean: CacheKind and StepOp in oracle/case.h.
 *
 * Options by number():
 *
 * - scale: never absent; 1/sqrt(head_dim) by default
 * - softcap: 0 is off
 * - rope_base
 * - rope_scaling.factor, .low, .high, .magnitude: see RopeScaling in oracle/case.h
 * - dropout_keep: the probability that a weight is kept; 1 is no dropout
 *
 * Options by word():
 *
 * - kind: softmax, linear, retnet, ssd, delta, gated_delta (see oracle/linear/kinds.h)
 * - dtype: f64, f32, f16, bf16, e4m3, e5m2
 * - layout: bhsd, bshd
 * - head_map: grouped, interleaved
 * - bias_order: after_softcap, before_softcap
 * - fully_masked: zero, nan, uniform, any
 * - rope: none, half, interleaved
 * - rope_part: first, last
 * - rope_scaling.law: none, linear, ntk, dynamic_ntk, yarn, llama3
 * - mask.align: top_left, bottom_right
 * - mask.RULE.PARAM: of a parameter that is a choice
 * - cache.kind: dynamic, fixed, paged, ring, chunked, hybrid, sink_window, cross
 * - cache.positions: kept, shifted; of the tokens behind an evicted one
 * - cache.quant: none, int8, e4m3, e5m2
 * - cache.scales: token, head
 * - op: prefill, append, decode, reorder, crop, reset, fork, evict
 * - side: right, left; of the padding of a step with lens
 *
 * Options by integer():
 *
 * - rope_dim: the elements that rope rotates, head_dim unless it is a part
 * - rope_scaling.original_len, rope_scaling.truncate
 * - mask.RULE: 1 if the mask has the rule
 * - mask.RULE.PARAM: mask.window.left, mask.chunk.size, and so on
 * - cache.capacity, cache.page_size, cache.keep
 * - length: of a crop
 * - from, to: of a fork
 * - start, count: of an evict
 *
 * Options by list():
 *
 * - mask.RULE.PARAM with several numbers; mask.padding.lens has one for each batch row
 * - mask.indices.keys: [batch, num_heads, blocks of q_block queries, count], -1 where there is no
 *   key
 * - rope_positions: the position by which rope rotates each key, and the query that stands there
 * - lens: a step's real tokens in each row; absent: q_len for all
 * - rows: of a reorder
 */
typedef struct attnfuzz_call attnfuzz_call;
struct attnfuzz_call {
  int64_t batch, num_heads, num_kv_heads;
  int64_t q_len;  /* of a cache step: its new tokens in each row */
  int64_t kv_len; /* of a cache step: 0, each row has its own; cross: the keys that it brings */
  int64_t head_dim, head_dim_v;
  int64_t memory_kv; /* learned keys before all others, seen by every query */

  /* A tensor by name, or NULL where the case has none. Shapes are logical, whatever the layout;
   * strides (in elements, never NULL) say how it lies in memory.
   *   q    [batch, num_heads, q_len, head_dim]       out  [batch, num_heads, q_len, head_dim_v]
   *   k    [batch, num_kv_heads, kv_len, head_dim]   v    [batch, num_kv_heads, kv_len, head_dim_v]
   *   mask [batch, num_heads, q_len, kv_len] uint8, 1: the key is seen; all rules folded in
   *   bias [batch, num_heads, q_len, kv_len], added to the scores; ALiBi folded in
   *   gate [batch, num_kv_heads, kv_len, head_dim] (kind linear) or [batch, num_kv_heads, kv_len],
   *   beta [batch, num_kv_heads, kv_len]: of kinds other than softmax
   *   sinks [num_heads]     mem_k [num_kv_heads, memory_kv, head_dim]     mem_v likewise
   *   k_scales, v_scales [num_kv_heads] float 32, of a cache with scales by head
   *   dropout [batch, num_heads, q_len, memory_kv + kv_len], 1: kept. Then out is Σ p dropout v /
   *   dropout_keep instead of Σ p v.
   * Where a case asks for more than out, the tensors to write it to, and for gradients grad_out:
   *   grad_out as out;   dq, dk, dv, dbias, dsinks, dmem_k, dmem_v as their inputs
   *   lse [batch, num_heads, q_len]: log of the softmax's denominator, kDLFloat 32 (64 for f64)
   *
   * In a cache step k, v, gate and beta hold its q_len new tokens (cross: k and v kv_len, absent
   * where 0). Elements have the case's dtype: kDLFloat 16, 32 and 64, kDLBfloat 16, and the 8-bit
   * floats as kDLUInt 8. */
  const DLTensor* (*tensor)(const attnfuzz_call*, const char* name);

  int64_t (*integer)(const attnfuzz_call*, const char* name, int64_t fallback);
  double (*number)(const attnfuzz_call*, const char* name, double fallback);
  const char* (*word)(const attnfuzz_call*, const char* name, const char* fallback);
  /* Its numbers and, in *count, how many; NULL and 0 where the case has none. */
  const int64_t* (*list)(const attnfuzz_call*, const char* name, int64_t* count);

  /* Leaves a text with a status and returns it: return call->stop(call, ATTNFUZZ_ERROR, "…"); A
   * text with ATTNFUZZ_OK is what a checker has noticed: it explains a wrong result. */
  attnfuzz_status (*stop)(const attnfuzz_call*, attnfuzz_status, const char* text);

  void* host; /* attnfuzz's own */
};

/* One implementation. */
typedef struct attnfuzz_target {
  const char* name;         /* letters, digits, '-', '_', '.' */
  const char* version;      /* of the implementation */
  const char* about;        /* one line */
  const char* capabilities; /* what it supports, as JSON: see targets/capabilities.h */

  /* Writes all of `out`, and of what else is asked for. NULL for a target that has a cache only
   * (sizes: "steps": [1, …]). */
  attnfuzz_status (*attention)(const attnfuzz_call*);

  /* The cache, where capabilities have a "cache:…" feature; else all NULL.
   * open: an empty cache; the call has sizes and cache.* but no tensors.
   * step: does the call's `op`. prefill, append and decode add the new tokens k, v and write the
   *       attention of q over all cached tokens to out.
   * length: tokens held for a batch row; may be NULL.
   * close: is called once for each cache that open gave. */
  attnfuzz_status (*cache_open)(const attnfuzz_call*, void** cache);
  attnfuzz_status (*cache_step)(void* cache, const attnfuzz_call*);
  int64_t (*cache_length)(void* cache, int64_t row);
  void (*cache_close)(void* cache);
} attnfuzz_target;

typedef struct attnfuzz_target_list {
  int64_t abi_version; /* ATTNFUZZ_ABI_VERSION */
  int64_t count;
  const attnfuzz_target* targets;
} attnfuzz_target_list;

/* The one symbol that a plug-in exports. What it returns must stay valid. */
const attnfuzz_target_list* attnfuzz_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
