#include "targets/hostile/hostile.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "oracle/error.h"
#include "targets/cpu/cpu.h"
#include "targets/plugin.h"

namespace attnfuzz {
namespace {

constexpr std::string_view family = "hostile:";
constexpr const char* capabilities = R"({
  "sizes": {"batch": [1, 3], "num_heads": [1, 4], "num_kv_heads": [1, 4], "q_len": [1, 12],
            "kv_len": [1, 12], "head_dim": [1, 9], "head_dim_v": [1, 9]},
  "features": ["dtype:f32", "layout:bhsd", "cross", "head_dim_v", "softcap", "rule:causal",
               "align:top_left"]
})";

const DLTensor* out_of(const attnfuzz_call* call) {
  return call->tensor(call, "out");
}

size_t elements(const DLTensor* tensor) {
  size_t count = 1;
  for (int axis = 0; axis < tensor->ndim; ++axis) count *= static_cast<size_t>(tensor->shape[axis]);
  return count;
}

void fill(const attnfuzz_call* call, size_t from, size_t to) {
  std::fill(static_cast<float*>(out_of(call)->data) + from,
            static_cast<float*>(out_of(call)->data) + to, 0.F);
}

/// Deeper and deeper: each level has its own block and needs the one above.
int descend(volatile char* above) {
  volatile char block[4096];
  block[0] = above[0];
  return block[0] == 1 ? 1 : descend(block) + block[0];
}

attnfuzz_status segfault(const attnfuzz_call*) {
  ::signal(SIGSEGV, SIG_DFL);  // a sanitizer has its own handler
  ::raise(SIGSEGV);
  return ATTNFUZZ_OK;
}

attnfuzz_status overflow_stack(const attnfuzz_call*) {
  volatile char first[1] = {0};
  return descend(first) == 1 ? ATTNFUZZ_ERROR : ATTNFUZZ_OK;
}

attnfuzz_status give_up(const attnfuzz_call*) {
  std::abort();
}

attnfuzz_status hang(const attnfuzz_call*) {
  for (;;) pause();
}

attnfuzz_status eat_memory(const attnfuzz_call*) {
  constexpr size_t block = size_t{4} << 20;
  for (;;)
    if (void* memory = std::malloc(block)) std::memset(memory, 1, block);
}

attnfuzz_status free_twice(const attnfuzz_call*) {
  void* volatile memory = std::malloc(64);
  void* const same = memory;
  std::free(memory);
  std::free(same);  // NOLINT(clang-analyzer-unix.Malloc): what it is for
  return ATTNFUZZ_OK;
}

attnfuzz_status write_past(const attnfuzz_call* call) {
  const size_t count = elements(out_of(call));
  fill(call, 0, count + 1);
  return ATTNFUZZ_OK;
}

attnfuzz_status write_far_past(const attnfuzz_call* call) {
  constexpr size_t far = size_t{64} << 10;
  const size_t count = elements(out_of(call));
  fill(call, count + far, count + far + 1);
  return ATTNFUZZ_OK;
}

attnfuzz_status write_before(const attnfuzz_call* call) {
  static_cast<float*>(out_of(call)->data)[-1] = 0;
  return ATTNFUZZ_OK;
}

attnfuzz_status change_input(const attnfuzz_call* call) {
  static_cast<float*>(call->tensor(call, "q")->data)[0] += 1;
  return ATTNFUZZ_OK;
}

attnfuzz_status print_without_end(const attnfuzz_call*) {
  const std::string block(1 << 20, 'x');
  for (;;) std::fwrite(block.data(), 1, block.size(), stdout);
}

attnfuzz_status fork_and_return(const attnfuzz_call* call) {
  if (fork() < 0) return call->stop(call, ATTNFUZZ_DECLINED, "no process can be made");
  return ATTNFUZZ_OK;
}

attnfuzz_status leave_a_process(const attnfuzz_call* call) {
  const pid_t child = fork();
  if (child < 0) return call->stop(call, ATTNFUZZ_DECLINED, "no process can be made");
  if (child == 0) hang(call);
  return ATTNFUZZ_OK;
}

attnfuzz_status exit_silently(const attnfuzz_call*) {
  _exit(0);
}

attnfuzz_status throw_something(const attnfuzz_call*) {
  throw 7;
}

attnfuzz_status nothing(const attnfuzz_call*) {
  return ATTNFUZZ_OK;
}

using Spoil = void (*)(Outcome&);

void wrong_shape(Outcome& outcome) {
  outcome.steps[0].out.shape.back() += 1;
  outcome.steps[0].out.bytes.resize(
      static_cast<size_t>(outcome.steps[0].out.size() * info(DType::f32).bytes));
}
void wrong_dtype(Outcome& outcome) {
  outcome.steps[0].out = Tensor(DType::f64, outcome.steps[0].out.shape);
}
void wrong_strides(Outcome& outcome) {
  std::reverse(outcome.steps[0].out.shape.begin(), outcome.steps[0].out.shape.end());
}
void no_output(Outcome& outcome) {
  outcome.steps.clear();
}
void shape_without_bytes(Outcome& outcome) {
  outcome.steps[0].out.shape.back() = int64_t{1} << 40;
}

/// What each does on a case with a softcap: a call of the C interface, or, once that has returned,
/// an answer of the wrong form.
struct Row {
  HostileTarget target;
  attnfuzz_status (*attention)(const attnfuzz_call*);
  Spoil spoil = nullptr;
};
constexpr Row rows[] = {
    {{"hostile:segfault", "reads where nothing is", "crash"}, segfault},
    {{"hostile:stack-overflow", "recurses without end", "crash"}, overflow_stack},
    {{"hostile:abort", "calls abort()", "crash"}, give_up},
    {{"hostile:hang", "never returns", "timeout"}, hang},
    {{"hostile:memory-hog", "takes memory without end", "memory"}, eat_memory},
    {{"hostile:double-free", "frees a block twice", "crash"}, free_twice},
    {{"hostile:writes-past", "writes one element past its output", "error"}, write_past},
    {{"hostile:writes-far-past", "writes 256 KiB past its output", "crash"}, write_far_past},
    {{"hostile:writes-before", "writes before its output", "error"}, write_before},
    {{"hostile:changes-input", "writes to q", "error"}, change_input},
    {{"hostile:prints", "prints gigabytes, without end", "timeout"}, print_without_end},
    {{"hostile:forks", "forks, and both return", "error"}, fork_and_return},
    {{"hostile:leaves-process", "leaves a process behind", "error"}, leave_a_process},
    {{"hostile:exits", "exits with code 0, silently", "crash"}, exit_silently},
    {{"hostile:throws", "throws an int", "error"}, throw_something},
    {{"hostile:no-write", "says that all is well and writes nothing", "nan"}, nothing},
    {{"hostile:wrong-shape", "gives back a column too many", "shape"}, nothing, wrong_shape},
    {{"hostile:wrong-dtype", "gives back float64 for float32", "shape"}, nothing, wrong_dtype},
    {{"hostile:wrong-strides", "gives back its axes in reverse", "shape"}, nothing, wrong_strides},
    {{"hostile:no-output", "gives back no tensor", "shape"}, nothing, no_output},
    {{"hostile:empty-promise", "gives back a shape without its bytes", "crash"},
     nothing,
     shape_without_bytes},
};

class Hostile final : public Target {
 public:
  Hostile(const std::string& name, const Row& row)
      : entry_{name.c_str() + family.size(),
               "1",
               row.target.about.data(),
               capabilities,
               row.attention,
               nullptr,
               nullptr,
               nullptr,
               nullptr},
        harm_(open_plugin_entry(name, entry_)),
        spoil_(row.spoil),
        naive_(open_cpu_naive()) {}

  const TargetInfo& info() const override { return harm_->info(); }

  Outcome run(const Case& c, const Inputs& inputs) override {
    if (c.problem.softcap == 0) return naive_->run(c, inputs);
    Outcome outcome = harm_->run(c, inputs);
    if (spoil_ != nullptr) spoil_(outcome);
    return outcome;
  }

 private:
  attnfuzz_target entry_;
  std::unique_ptr<Target> harm_;
  Spoil spoil_;
  std::unique_ptr<Target> naive_;
};

}  // namespace

std::span<const HostileTarget> hostile_targets() {
  static const std::vector<HostileTarget> all = [] {
    std::vector<HostileTarget> targets;
    for (const Row& row : rows) targets.push_back(row.target);
    return targets;
  }();
  return all;
}

bool is_hostile_name(std::string_view name) {
  return name.starts_with(family);
}

std::unique_ptr<Target> open_hostile(const std::string& name) {
  for (const Row& row : rows)
    if (row.target.name == name) return std::make_unique<Hostile>(name, row);
  throw InputError(name, "", "expected a hostile target (see targets/hostile/hostile.cpp)");
}

}  // namespace attnfuzz
