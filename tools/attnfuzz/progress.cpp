#include "tools/attnfuzz/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "targets/given_up.h"

namespace attnfuzz::cli {

namespace {

/// A terminal that understands control sequences.
bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

/// The width of the terminal on stderr.
size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string target, const CampaignOptions& budget, bool quiet)
    : target_(std::move(target)),
      budget_(budget),
      quiet_(quiet),
      terminal_(is_terminal(STDERR_FILENO)),
      start_(Clock::now()),
      next_(start_ + (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) {}

double Progress::done(const CampaignStats& stats, double seconds) const {
  const double cases = std::ceil(static_cast<double>(budget_.cases - budget_.shard) /
                                 static_cast<double>(budget_.shards));
  const double part =
      budget_.seconds > 0 ? seconds / budget_.seconds : static_cast<double>(stats.cases) / cases;
  return std::clamp(part, 0.0, 1.0);
}

void Progress::update(const CampaignStats& stats) {
  if (quiet_) return;
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10));
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double part = done(stats, seconds);
  const std::string line = fmt::format(
      "{}: {:.0f}%, {} cases, {:.0f} cases/s, {} findings, {} failed, {} declined, {} features "
      "covered",
      target_, 100 * part, stats.cases, static_cast<double>(stats.cases) / seconds, findings_,
      stats.failed, stats.skipped, stats.features.size());
  if (terminal_) {
    constexpr int width = 20;
    const int filled = static_cast<int>(part * width);
    const std::string bar = fmt::format("[{:=<{}}{:.<{}}] ", "", filled, "", width - filled);
    fmt::print(stderr, "\r\x1b[2K{}", (bar + line).substr(0, columns() - 1));
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
  return is_terminal(STDOUT_FILENO) && (no_colour == nullptr || *no_colour == '\0');
}

namespace {
std::atomic<bool> interrupted{false};
std::atomic<int> interrupts{0}, told_interrupts{1};  ///< one more than these ends the process

void on_signal(int number) {
  interrupted = true;
  const int before = interrupts++;
  if (before >= told_interrupts) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
  constexpr std::string_view first =
      "\nattnfuzz: stopping when the case at hand is done; once more stops at once\n";
  constexpr std::string_view second =
      "\nattnfuzz: giving up the case at hand; once more ends without reports\n";
  const std::string_view words = before == 0 ? first : second;
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, words.data(), words.size());
}
}  // namespace

const std::atomic<bool>& interrupt_flag() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  return interrupted;
}

void write_at_second_interrupt() {
  told_interrupts = 2;
}

void give_up_if_asked() {
  if (interrupts > 1) throw GivenUp();
}

}  // namespace attnfuzz::cli
