#pragma once
#include <span>
#include <vector>

#include "oracle/case.h"
#include "oracle/inputs.h"
#include "targets/zoo/mutation.h"
#include "targets/zoo/zoo.h"

/// What the zoo's kernels are made of. They compute in double, so that what is wrong is the line.
namespace attnfuzz::zoo {

/// A [batch, heads, len, dim] tensor in double.
struct Operand {
  std::vector<double> values;
  int64_t batch = 0, head = 0, token = 0;  ///< strides

  Operand() = default;
  Operand(Layout layout, const Shape& shape);  ///< zeros
  Operand(Layout layout, const Tensor& tensor);
  double* at(int64_t b, int64_t h, int64_t s) {
    return values.data() + b * batch + h * head + s * token;
  }
  const double* at(int64_t b, int64_t h, int64_t s) const {
    return values.data() + b * batch + h * head + s * token;
  }
};

/// What all rows of a case share.
struct Context {
  Mutation m;
  Kernel kernel;
  Tiles tile;
  const Problem& problem;
  const Data& data;
  std::vector<double> sinks;    ///< empty: none
  Operand mem_k, mem_v;         ///< [1, num_kv_heads, memory_kv, dim]
  Operand bias;                 ///< [batch, num_heads, q_len, kv_len]; empty: none
  std::vector<double> dropout;  ///< the keys' factors, for each query; empty: none

  Context(const Mutation& mutation, Kernel of, Build build, const Case& c, const Inputs& inputs);
};

/// A query that looks at a key.
struct Pair {
  int64_t b, h, i, q_pos;
  int64_t j, key_pos;
};

struct Key {
  const double* k;
  const double* v;
  int64_t j = 0;         ///< its place among the row's keys
  int64_t position = 0;  ///< by which masks go
  bool memory = false;
  bool hidden = false;
  double score = 0;
  double kept = 1;  ///< dropout's factor
};

/// A tensor of the case: "q", "k" or "v".
Operand read(const Context& x, Layout layout, const Tensor& tensor, std::string_view name);
/// The batch rows that a row's queries, keys and values are read from.
struct Row {
  int64_t q, k, v;
};
Row row_of(const Context& x, int64_t b);
/// Whose value key j takes.
int64_t value_of_key(const Context& x, int64_t j, int64_t kv_len);
/// Where query i stands on the keys' axis, without a cache.
int64_t query_position(const Context& x, int64_t i);
/// Whether the mask lets the query see the key.
bool sees(const Context& x, const Pair& pair);
/// What is added to the pair's score.
double bias(const Context& x, const Pair& pair);
/// Which KV head serves query head h.
int64_t key_head(const Context& x, int64_t h);
int64_t value_head(const Context& x, int64_t h);
int64_t memory_head(const Context& x, int64_t h);
/// The memory keys of KV head g.
void add_memory(const Context& x, int64_t g, std::vector<Key>& keys);
/// The sink of query head h; −inf without.
double sink(const Context& x, int64_t h);
/// The score of a key that is seen, memory or not.
double score(const Context& x, const Pair& pair, const double* q, const Key& key);
/// Weighs the values of the keys by the softmax of their scores: out[head_dim_v].
void softmax(const Context& x, std::span<const Key> keys, int64_t kv_len, double sink, double* out);

/// One query's row: scores, masks and weighs the keys. keys[j].score and .hidden are written.
void attend(const Context& x, int64_t b, int64_t h, int64_t i, int64_t q_pos, const double* q,
            std::vector<Key>& keys, double* out);

/// The outputs, as a tensor of the case's dtype.
Tensor to_tensor(const Context& x, const Operand& out, Shape shape);

void run_plain(const Context& x, const Inputs& inputs, std::vector<StepOutput>& steps);
void run_cached(const Context& x, const Case& c, const Inputs& inputs,
                std::vector<StepOutput>& steps);

}  // namespace attnfuzz::zoo
