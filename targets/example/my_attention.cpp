// A plug-in to copy: causal attention with grouped KV heads, in f32. Put your own kernel in
// attention(), say in `capabilities` what it supports, and then
//     c++ -shared -fPIC -O2 -I "$(attnfuzz include)" my_attention.cpp -o my_attention.so
//     attnfuzz run -t ./my_attention.so
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "targets/attnfuzz_target.h"

namespace {

// What is claimed here is tested, and nothing else. Sizes: [min, max] or [min, max, multiple of];
// those not named are 1. Features: `attnfuzz targets --json` shows the words.
const char* const capabilities = R"({
  "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 64],
            "kv_len": [1, 64], "head_dim": [1, 64], "head_dim_v": [1, 64]},
  "equal": [["q_len", "kv_len"]],
  "features": ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "head_dim_v", "scale",
               "rule:causal", "data:large", "data:constant", "data:one_hot"],
  "precision": {"f32": {"accumulate": "f32", "p": "f32", "exp_ulps": 2}}
})";

// The vector of token s and head h: tensors are [batch, heads, len, dim], in any memory order.
float* vector_at(const DLTensor* t, int64_t b, int64_t h, int64_t s) {
  return static_cast<float*>(t->data) + b * t->strides[0] + h * t->strides[1] + s * t->strides[2];
}

void attend(const attnfuzz_call& call, int64_t b, int64_t h, int64_t i, bool causal, float scale) {
  const DLTensor* k = call.tensor(&call, "k");
  const DLTensor* v = call.tensor(&call, "v");
  const float* q = vector_at(call.tensor(&call, "q"), b, h, i);
  float* out = vector_at(call.tensor(&call, "out"), b, h, i);
  const int64_t kv_head = h / (call.num_heads / call.num_kv_heads);
  const int64_t keys = causal ? i + 1 : call.kv_len;

  std::vector<float> p(static_cast<size_t>(keys), 0.0f);
  float max = -std::numeric_limits<float>::infinity();
  for (int64_t j = 0; j < keys; ++j) {
    for (int64_t d = 0; d < call.head_dim; ++d) p[j] += q[d] * vector_at(k, b, kv_head, j)[d];
    p[j] *= scale;
    max = std::max(max, p[j]);
  }
  float sum = 0;
  std::fill_n(out, call.head_dim_v, 0.0f);
  for (int64_t j = 0; j < keys; ++j) {
    p[j] = std::exp(p[j] - max);
    sum += p[j];
    for (int64_t d = 0; d < call.head_dim_v; ++d) out[d] += p[j] * vector_at(v, b, kv_head, j)[d];
  }
  for (int64_t d = 0; d < call.head_dim_v; ++d) out[d] /= sum;
}

attnfuzz_status attention(const attnfuzz_call* call) {
  if (std::strcmp(call->word(call, "dtype", ""), "f32") != 0)
    return call->stop(call, ATTNFUZZ_ERROR, "only f32 is implemented");
  const bool causal = call->integer(call, "mask.causal", 0) != 0;
  const auto scale = static_cast<float>(call->number(call, "scale", 1));
  for (int64_t b = 0; b < call->batch; ++b)
    for (int64_t h = 0; h < call->num_heads; ++h)
      for (int64_t i = 0; i < call->q_len; ++i) attend(*call, b, h, i, causal, scale);
  return ATTNFUZZ_OK;
}

const attnfuzz_target targets[] = {{"my_attention", "1.0", "causal attention, a plug-in to copy",
                                    capabilities, attention, nullptr, nullptr, nullptr, nullptr}};
const attnfuzz_target_list list = {ATTNFUZZ_ABI_VERSION, 1, targets};

}  // namespace

extern "C" const attnfuzz_target_list* attnfuzz_plugin(void) {
  return &list;
}
