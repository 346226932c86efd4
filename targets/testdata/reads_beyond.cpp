// The example plug-in, but for an element beside k that it reads and does not use. Nothing that it
// writes is wrong.
#define attnfuzz_plugin right_plugin
#include "targets/example/my_attention.cpp"
#undef attnfuzz_plugin

namespace {

int64_t elements(const DLTensor* t) {
  int64_t count = 1;
  for (int axis = 0; axis < t->ndim; ++axis) count *= t->shape[axis];
  return count;
}

attnfuzz_status read_beside_k(const attnfuzz_call* call, bool behind) {
  const DLTensor* k = call->tensor(call, "k");
  const volatile float* first = static_cast<const float*>(k->data);
  const float unused = first[behind ? elements(k) : -1];
  (void)unused;
  return attention(call);
}
attnfuzz_status past_end(const attnfuzz_call* call) {
  return read_beside_k(call, true);
}
attnfuzz_status before_start(const attnfuzz_call* call) {
  return read_beside_k(call, false);
}

const attnfuzz_target wrong_targets[] = {
    {"past_end", "1", "", capabilities, past_end, nullptr, nullptr, nullptr, nullptr},
    {"before_start", "1", "", capabilities, before_start, nullptr, nullptr, nullptr, nullptr}};
const attnfuzz_target_list wrong_list = {ATTNFUZZ_ABI_VERSION, 2, wrong_targets};

}  // namespace

extern "C" const attnfuzz_target_list* attnfuzz_plugin(void) {
  return &wrong_list;
}
