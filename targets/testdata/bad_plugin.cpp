// Plug-ins that are wrong in one way each, chosen by -DBAD=…, and (BAD_none) one whose targets do
// what no plug-in may. Test data of plugin_test.cpp.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "targets/attnfuzz_target.h"

namespace bad_plugin {

[[maybe_unused]] const char* const good =
    R"({"sizes": {"q_len": [1, 8]}, "features": ["dtype:f32", "layout:bhsd"]})";
[[maybe_unused]] const char* const cached =
    R"({"sizes": {"q_len": [1, 8], "kv_len": [1, 8], "steps": [1, 8]},
  "features": ["dtype:f32", "layout:bhsd", "cache:dynamic", "step:prefill", "step:decode"]})";

float* data(const attnfuzz_call* call, const char* name) {
  return static_cast<float*>(call->tensor(call, name)->data);
}

attnfuzz_status writes_past_end(const attnfuzz_call* call) {
  data(call, "out")[call->q_len] = 0;
  return ATTNFUZZ_OK;
}
attnfuzz_status writes_before_start(const attnfuzz_call* call) {
  data(call, "out")[-1] = 0;
  return ATTNFUZZ_OK;
}
attnfuzz_status writes_input(const attnfuzz_call* call) {
  data(call, "k")[0] += 1;
  return ATTNFUZZ_OK;
}
attnfuzz_status throws(const attnfuzz_call*) {
  throw std::runtime_error("no luck");
}
attnfuzz_status declines(const attnfuzz_call* call) {
  return call->stop(call, ATTNFUZZ_DECLINED, "not on Mondays");
}
attnfuzz_status fails(const attnfuzz_call* call) {
  return call->stop(call, ATTNFUZZ_ERROR, "a (3) must match b (4)");
}
attnfuzz_status breaks(const attnfuzz_call* call) {
  return call->stop(call, ATTNFUZZ_FATAL, "CUDA error: unspecified launch failure");
}
attnfuzz_status notices(const attnfuzz_call* call) {
  return call->stop(call, ATTNFUZZ_OK, "Race reported between Write access and Read access");
}
/// As if a checker had written to its log during the process's first call.
attnfuzz_status is_logged(const attnfuzz_call* call) {
  static bool first = true;
  const char* log = std::getenv("ATTNFUZZ_TEST_LOG");
  if (first && log != nullptr) {
    std::FILE* file = std::fopen(log, "a");
    std::fputs(
        "========= Invalid __shared__ read of size 4 bytes\n"
        "=========     at kernel+0x10\n"
        "=========     Address 0x400 is out of bounds\n"
        "=========\n",
        file);
    std::fclose(file);
  }
  first = false;
  return call->stop(call, ATTNFUZZ_DECLINED, "nothing is computed");
}
attnfuzz_status writes_nothing(const attnfuzz_call*) {
  return ATTNFUZZ_OK;
}

struct Count {
  int64_t tokens;
};
attnfuzz_status open(const attnfuzz_call*, void** cache) {
  *cache = new Count{0};
  return ATTNFUZZ_OK;
}
attnfuzz_status step(void* cache, const attnfuzz_call* call) {
  static_cast<Count*>(cache)->tokens += call->q_len;
  for (int64_t i = 0; i < call->q_len; ++i)
    data(call, "out")[i] = static_cast<float>(static_cast<Count*>(cache)->tokens);
  return std::strcmp(call->word(call, "op", ""), "decode") == 0 && call->q_len != 1
             ? call->stop(call, ATTNFUZZ_ERROR, "a decode of several tokens")
             : ATTNFUZZ_OK;
}
int64_t length(void* cache, int64_t) {
  return static_cast<Count*>(cache)->tokens;
}
void close(void* cache) {
  delete static_cast<Count*>(cache);
}

constexpr attnfuzz_target once(const char* name, attnfuzz_status (*attention)(const attnfuzz_call*),
                               const char* capabilities = good) {
  return {name, "1", "", capabilities, attention, nullptr, nullptr, nullptr, nullptr};
}

const attnfuzz_target targets[] = {
#if defined(BAD_capabilities)
    once("bad", fails, R"({"features": ["dtype:f32", "layout:bhsd", "rule:casual"]})"),
#elif defined(BAD_names)
    once("same", fails),
    once("same", fails),
#elif defined(BAD_functions)
    once("bad", fails, cached),
#elif defined(BAD_version)
    once("bad", fails),
#else
    once("writes_past_end", writes_past_end),
    once("writes_before_start", writes_before_start),
    once("writes_input", writes_input),
    once("throws", throws),
    once("declines", declines),
    once("fails", fails),
    once("breaks", breaks),
    once("notices", notices),
    once("is_logged", is_logged),
    once("writes_nothing", writes_nothing),
    {"counts", "1", "", cached, nullptr, open, step, length, close},
#endif
};

#if defined(BAD_version)
constexpr int64_t version = ATTNFUZZ_ABI_VERSION + 1;
#else
constexpr int64_t version = ATTNFUZZ_ABI_VERSION;
#endif
const attnfuzz_target_list list = {version, sizeof targets / sizeof *targets, targets};

}  // namespace bad_plugin

#if !defined(BAD_symbol)
extern "C" const attnfuzz_target_list* attnfuzz_plugin(void) {
  return &bad_plugin::list;
}
#else
const attnfuzz_target_list* attnfuzz_plugin_other() {
  return &bad_plugin::list;
}
#endif
