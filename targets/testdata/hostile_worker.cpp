/// A worker for the tests of RemoteTarget: `hostile_worker worker hostile:NAME` does what its table
/// says on cases with an odd seed, and gives back v on all others (as a plug-in that is right would
/// for q_len 1 and kv_len 1). Its version is its process id.
///   hostile_worker parent     opens hostile:echo in a worker, prints the worker's id, and waits
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "targets/remote.h"
#include "targets/serve.h"

namespace attnfuzz {
namespace {

void raw(std::string_view text) {
  if (write(worker_channel, text.data(), text.size()) < 0) std::abort();
}

void hang() {
  for (;;) pause();
}

void print_gigabytes() {
  const std::string block(1 << 20, 'x');
  for (int k = 0; k < 2048; ++k) std::fwrite(block.data(), 1, block.size(), stdout);
  fmt::print("\nthe last line\n");
  std::fflush(stdout);
}

void eat_memory() {
  for (size_t k = 0;; ++k) {
    auto* block = static_cast<volatile char*>(std::malloc(size_t{1} << 20));
    for (size_t at = 0; block != nullptr && at < size_t{1} << 20; at += 4096) block[at] = 1;
  }
}

void fork_and_hang() {
  const pid_t child = fork();
  if (child == 0) hang();
  fmt::print("grandchild {}\n", child);
  std::fflush(stdout);
  hang();
}

void fork_and_die() {
  if (fork() == 0) hang();  // holds the socket and the pipe
  _exit(5);
}

void reply_outside_memory() {
  raw(R"({"id":1,"status":"ok","text":"","steps":[{"out":["f32",[4],1099511627776],"lengths":[]}]})"
      "\n");
  hang();
}

void reply_too_large() {
  raw(R"({"id":1,"status":"ok","text":"","steps":[{"out":["f32",[99999999,99999999,99999999],0],)"
      R"("lengths":[]}]})"
      "\n");
  hang();
}

void flood() {
  const std::string block(1 << 20, '{');
  for (;;) raw(block);
}

/// As a sticky CUDA error: nothing succeeds in this process from now on.
bool broken = false;

struct Behaviour {
  std::string_view name;
  void (*act)();
};
constexpr Behaviour behaviours[] = {
    {"echo", [] {}},
    {"segv",
     [] {
       ::signal(SIGSEGV, SIG_DFL);  // a sanitizer has its own handler
       ::raise(SIGSEGV);
     }},
    {"abort",
     [] {
       fmt::print(stderr, "free(): invalid pointer\n");
       std::abort();
     }},
    {"exit", [] { _exit(7); }},
    {"hang", hang},
    {"closes",
     [] {
       close(worker_channel);
       hang();
     }},
    {"prints", print_gigabytes},
    {"eats", eat_memory},
    {"forks", fork_and_hang},
    {"leaves", fork_and_die},
    {"garbage",
     [] {
       raw("\x01\xff not JSON\n");
       hang();
     }},
    {"outside", reply_outside_memory},
    {"too-large", reply_too_large},
    {"flood", flood},
    {"sticky", [] { broken = true; }},
    {"throws", [] { throw std::runtime_error("q_len 2 is not supported"); }},
    {"bad-alloc", [] { throw std::bad_alloc(); }},
};

class HostileTarget : public Target {
 public:
  explicit HostileTarget(std::string_view what) {
    for (const Behaviour& behaviour : behaviours)
      if (behaviour.name == what) act_ = behaviour.act;
    info_.name = fmt::format("hostile:{}", what);
    info_.version = std::to_string(getpid());
    info_.capabilities = parse_capabilities(
        R"({"features": ["dtype:f32", "layout:bhsd", "rule:causal"], "sizes": {"batch": [1, 64]}})",
        info_.name);
  }
  bool known() const { return act_ != nullptr; }
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override {
    if (c.data.seed % 2 == 1) act_();
    if (broken) return {Status::error, "CUDA error: an illegal memory access", {}, true};
    return {Status::ok, {}, {{inputs.at("v"), {1, 2}}}};
  }

 private:
  void (*act_)() = nullptr;
  TargetInfo info_;
};

int serve(std::string_view name) {
  if (name == "hostile:silent") hang();
  if (name == "hostile:rude") {
    raw("hello\n");
    hang();
  }
  HostileTarget target(name.substr(name.find(':') + 1));
  if (!target.known()) {
    serve_missing(fmt::format("no behaviour {}", name));
    return 0;
  }
  return serve_worker(target);
}

int run_parent(const char* program) {
  const std::unique_ptr<Target> target = open_isolated("hostile:hang", {}, program);
  fmt::print("{}\n", target->info().version);
  std::fflush(stdout);
  hang();
  return 0;
}

}  // namespace
}  // namespace attnfuzz

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "worker") return attnfuzz::serve(argv[2]);
  if (argc == 2 && std::string_view(argv[1]) == "parent") return attnfuzz::run_parent(argv[0]);
  return 2;
}
