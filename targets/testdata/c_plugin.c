/* A plug-in in plain C, for plugin_test.cpp: one key, so the answer is its value. */
#include "targets/attnfuzz_target.h"

static attnfuzz_status attention(const attnfuzz_call* call) {
  const DLTensor* v = call->tensor(call, "v");
  const DLTensor* out = call->tensor(call, "out");
  int64_t i, d;
  if (call->tensor(call, "no such tensor") != NULL)
    return call->stop(call, ATTNFUZZ_ERROR, "there is a tensor without a name");
  for (i = 0; i < call->q_len; ++i)
    for (d = 0; d < call->head_dim_v; ++d)
      ((float*)out->data)[i * out->strides[2] + d] = ((const float*)v->data)[d];
  return ATTNFUZZ_OK;
}

static const attnfuzz_target targets[] = {
    {"one_key", "1", "one key, in C",
     "{\"sizes\": {\"q_len\": [1, 8], \"head_dim_v\": [1, 8]},"
     " \"features\": [\"dtype:f32\", \"layout:bhsd\", \"cross\", \"longer_q\", \"head_dim_v\"]}",
     attention, NULL, NULL, NULL, NULL}};
static const attnfuzz_target_list list = {ATTNFUZZ_ABI_VERSION, 1, targets};

const attnfuzz_target_list* attnfuzz_plugin(void) {
  return &list;
}
