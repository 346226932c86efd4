// A plug-in with a cache, for repro/plugin_test.cpp: one row, one head, one element per token. With
// WRONG defined its lengths are one too long after the second step.
#include <cmath>
#include <cstring>
#include <vector>

#include "targets/attnfuzz_target.h"

namespace {

struct Cache {
  std::vector<float> k, v;
  int steps = 0;
};

attnfuzz_status open(const attnfuzz_call*, void** cache) {
  *cache = new Cache;
  return ATTNFUZZ_OK;
}

attnfuzz_status step(void* opaque, const attnfuzz_call* call) {
  Cache& cache = *static_cast<Cache*>(opaque);
  ++cache.steps;
  if (std::strcmp(call->word(call, "op", ""), "crop") == 0) {
    cache.k.resize(static_cast<size_t>(call->integer(call, "length", 0)));
    cache.v.resize(cache.k.size());
    return ATTNFUZZ_OK;
  }
  const auto* q = static_cast<const float*>(call->tensor(call, "q")->data);
  const auto* k = static_cast<const float*>(call->tensor(call, "k")->data);
  const auto* v = static_cast<const float*>(call->tensor(call, "v")->data);
  auto* out = static_cast<float*>(call->tensor(call, "out")->data);
  for (int64_t i = 0; i < call->q_len; ++i) {
    cache.k.push_back(k[i]);
    cache.v.push_back(v[i]);
    double total = 0, sum = 0;
    for (size_t j = 0; j < cache.k.size(); ++j) {
      const double p = std::exp(double(q[i]) * cache.k[j]);
      total += p;
      sum += p * cache.v[j];
    }
    out[i] = static_cast<float>(sum / total);
  }
  return ATTNFUZZ_OK;
}

int64_t length(void* opaque, int64_t) {
  const Cache& cache = *static_cast<Cache*>(opaque);
  int64_t n = static_cast<int64_t>(cache.k.size());
#ifdef WRONG
  if (cache.steps == 2) ++n;
#endif
  return n;
}

void close(void* opaque) {
  delete static_cast<Cache*>(opaque);
}

const attnfuzz_target targets[] = {
    {"small", "1", "one element per token", "{}", nullptr, open, step, length, close}};
const attnfuzz_target_list list = {ATTNFUZZ_ABI_VERSION, 1, targets};

}  // namespace

extern "C" const attnfuzz_target_list* attnfuzz_plugin(void) {
  return &list;
}
