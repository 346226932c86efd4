#include "tools/attnfuzz/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace attnfuzz::cli {

Progress::Progress(std::string target, bool quiet)
    : target_(std::move(target)),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) {}

void Progress::update(const CampaignStats& stats) {
  if (quiet_) return;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10));
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::string line = fmt::format(
      "{}: {} cases, {:.0f} cases/s, {} failed, {} declined, {} findings, {} features covered",
      target_, stats.cases, static_cast<double>(stats.cases) / seconds, stats.failed, stats.skipped,
      findings_, stats.features.size());
  if (terminal_) {
    fmt::print(stderr, "\r\x1b[2K{}", line);
    std::fflush(stderr);
    shown_ = true;
  } else {
    fmt::print(stderr, "{}\n", line);
  }
}

void Progress::clear() {
  if (shown_) fmt::print(stderr, "\r\x1b[2K");
  shown_ = false;
}

bool use_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

namespace {
std::atomic<bool> interrupted{false};

void on_signal(int number) {
  if (interrupted.exchange(true)) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
}
}  // namespace

const std::atomic<bool>& interrupt_flag() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  return interrupted;
}

}  // namespace attnfuzz::cli
