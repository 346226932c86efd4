#include "targets/fault_report.h"

#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

namespace attnfuzz {
namespace {

/// More than the tensors of any call; what is beyond is not told.
constexpr size_t most_watched = 64;

struct Watched {
  std::atomic<bool> taken{false};
  const char* name = nullptr;
  std::atomic<const GuardedMemory*> memory{nullptr};
};
std::array<Watched, most_watched> watched;

constexpr std::array<int, 2> signals{SIGSEGV, SIGBUS};
std::array<struct sigaction, signals.size()> before;

/// A line in the making, without what a signal handler may not call.
class Line {
 public:
  Line& operator<<(const char* text) {
    for (; *text != '\0' && size_ < text_.size(); ++text) text_[size_++] = *text;
    return *this;
  }
  Line& operator<<(size_t number) {
    std::array<char, 24> digits{};
    size_t at = digits.size() - 1;
    do digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) > 0);
    return *this << digits.data() + at;
  }
  void write_out() const {
    if (write(STDERR_FILENO, text_.data(), size_) < 0) return;  // nobody is left to tell
  }

 private:
  std::array<char, 256> text_{};
  size_t size_ = 0;
};

const char* verb([[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  constexpr long long write_access = 2;
  const auto* of = static_cast<const ucontext_t*>(context);
  return (of->uc_mcontext.gregs[REG_ERR] & write_access) != 0 ? "written" : "read";
#else
  return "accessed";
#endif
}

void tell(const siginfo_t& signal, const void* context) {
  const auto* at = static_cast<const std::byte*>(signal.si_addr);
  for (const Watched& each : watched) {
    const GuardedMemory* memory = each.memory;
    if (memory == nullptr || !memory->is_near(at)) continue;
    const bool is_before = at < memory->data();
    const auto offset = static_cast<size_t>(is_before ? memory->data() - at
                                                      : at - memory->data() - memory->bytes());
    Line line;
    line << each.name << " was " << verb(context)
         << (is_before ? " before its start" : " past its end") << " (offset " << offset
         << " bytes)\n";
    line.write_out();
    return;
  }
}

/// After it the instruction runs again, and meets what the signal led to before.
void handle(int number, siginfo_t* signal, void* context) {
  tell(*signal, context);
  for (size_t k = 0; k < signals.size(); ++k)
    if (signals[k] == number) sigaction(number, &before[k], nullptr);
}

}  // namespace

void report_faults() {
  // A stack of its own: a stack that is used up is one of the faults.
  static std::array<char, 1 << 16> stack;
  stack_t alternate{};
  alternate.ss_sp = stack.data();
  alternate.ss_size = stack.size();
  sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (size_t k = 0; k < signals.size(); ++k) sigaction(signals[k], &action, &before[k]);
}

FaultWatch::FaultWatch(const char* name, const GuardedMemory& memory) : place_(0) {
  while (place_ < watched.size() && watched[place_].taken.exchange(true)) ++place_;
  if (place_ == watched.size()) return;
  watched[place_].name = name;
  watched[place_].memory = &memory;
}

FaultWatch::~FaultWatch() {
  if (place_ == watched.size()) return;
  watched[place_].memory = nullptr;
  watched[place_].taken = false;
}

}  // namespace attnfuzz
