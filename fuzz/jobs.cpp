#include "fuzz/jobs.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <set>
#include <system_error>

#include "fuzz/child.h"
#include "fuzz/clock.h"
#include "fuzz/forked_target.h"
#include "fuzz/history.h"
#include "fuzz/known.h"
#include "fuzz/reach/sequence.h"
#include "fuzz/replayable.h"
#include "fuzz/wire.h"
#include "targets/given_up.h"
#include "targets/notes.h"
#include "targets/remote.h"
#include "targets/spawn.h"

namespace attnfuzz {
namespace {

constexpr double report_seconds = 0.1;  ///< a process tells how far it is
/// Of hang_seconds, the part that one run may take where each is alone. A case is up to six: for
/// itself, for three properties, and for a relation two.
constexpr double run_part = 1.0 / 8;

/// Memory that all processes see: the case that each has at hand, and what holds for all.
class Board {
 public:
  explicit Board(size_t jobs) : bytes_((jobs + 2) * sizeof(Cell)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      throw std::system_error(errno, std::generic_category(), "can't share memory");
    cells_ = static_cast<Cell*>(memory);
    for (size_t k = 0; k < jobs + 2; ++k) new (cells_ + k) Cell(0);
  }
  ~Board() { munmap(cells_, bytes_); }
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  std::atomic<uint64_t>& at_hand(size_t job) { return cells_[job + 2]; }
  bool stopped() const { return cells_[0] != 0; }
  void stop() { cells_[0] = 1; }
  /// Whether the target runs in the processes themselves: no worker of it has limits of its own.
  bool in_process() const { return cells_[1] != 0; }
  void set_in_process() { cells_[1] = 1; }

 private:
  using Cell = std::atomic<uint64_t>;
  size_t bytes_;
  Cell* cells_;
};

/// Runs `work`; what it throws is sent instead.
template <class Work>
void send_trouble(const Child::Send& send, const Work& work) {
  try {
    work();
  } catch (const InputError& error) {
    send(wire::pack(wire::Trouble{true, error.what()}));
  } catch (const std::exception& error) {
    send(wire::pack(wire::Trouble{false, error.what()}));
  }
}

/// A process that runs every stride-th case.
struct Job {
  std::unique_ptr<Child> child;
  uint64_t first = 0;  ///< case that it runs
  uint64_t next = 0;   ///< its cases before this one are done
  bool done = false;
  bool hung = false;  ///< and was killed for it
  uint64_t seen_at_hand = 0;
  Clock::time_point seen = Clock::now();  ///< when the case at hand last changed
};

/// A failing case that waits for its turn. Of one that its process died on no more is known than
/// how it did.
struct Waiting {
  bool died = false;
  wire::Failure failure;
};

/// The verdict on a case that a process died on.
Verdict verdict_of_death(bool hung, double seconds, int status) {
  Verdict verdict;
  verdict.kind = VerdictKind::fail;
  verdict.failure = hung ? FailureKind::timeout : FailureKind::crash;
  verdict.detail = hung ? fmt::format("no answer within {:g} s", seconds) : describe_end(status);
  return verdict;
}

class Jobs {
 public:
  Jobs(const OpenTarget& open, const CampaignOptions& options, size_t jobs,
       const CampaignEvents& events)
      : open_(open),
        options_(options),
        events_(events),
        stride_(options.shards * jobs),
        board_(jobs),
        jobs_(jobs) {
    for (size_t k = 0; k < jobs; ++k) start(k, options.shard + k * options.shards);
  }

  CampaignStats run() {
    try {
      while (!finished()) go_on();
    } catch (const GivenUp&) {
      stats_.interrupted = true;
      shrinker_.reset();
      for (const auto& [index, waiting] : waiting_)
        if (!is_known(waiting)) tell_as_found(waiting);
    }
    stats_.seconds = seconds_since(start_);
    return stats_;
  }

 private:
  void go_on() {
    if (options_.interrupt != nullptr && *options_.interrupt) interrupt();
    wait();
    for (size_t k = 0; k < jobs_.size(); ++k) receive(k);
    receive_shrinking();
    decide();
    stats_.seconds = seconds_since(start_);
    if (events_.progress) events_.progress(stats_);
  }

  bool is_known(const Waiting& waiting) {
    return !waiting.died &&
           known_.count(waiting.failure.signature, waiting.failure.failure, stats_);
  }

  /// Where there is no time to shrink it.
  void tell_as_found(const Waiting& waiting) {
    for (const Finding& finding : waiting.failure.found)
      if (known_.add(finding, stats_) && events_.finding) events_.finding(finding);
  }

  bool enough() const { return options_.stop_after > 0 && known_.size() >= options_.stop_after; }

  bool finished() const {
    return waiting_.empty() && !shrinker_ &&
           std::all_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.done; });
  }

  void interrupt() {
    if (!stats_.interrupted) interrupted_ = Clock::now();
    stats_.interrupted = true;
    board_.stop();
  }

  /// After Ctrl-C what waits is run again and reported as it is, for so long.
  bool too_late() const {
    constexpr double seconds = 10;
    return stats_.interrupted && seconds_since(interrupted_) > seconds;
  }

  void start(size_t k, uint64_t from) {
    Job& job = jobs_[k];
    job.first = job.next = from;
    job.hung = false;
    board_.at_hand(k) = from;
    job.seen = Clock::now();
    job.child = std::make_unique<Child>([this, k, from](const Child::Send& send) {
      send_trouble(send, [&] { run_cases(k, from, send); });
    });
  }

  /// In the child: cases from, from + stride, … but for those that a process has died on.
  void run_cases(size_t k, uint64_t from, const Child::Send& send) {
    const std::unique_ptr<Target> target = open_();
    if (!runs_in_worker(*target)) board_.set_in_process();
    Sequence sequence(target->info().capabilities, options_.seed);
    ReachCounter reach(sequence.goals());
    std::set<std::string> told;  // signatures of findings
    wire::Progress progress;
    Clock::time_point reported = Clock::now();
    uint64_t index = from;
    const auto report = [&](uint64_t next, bool last) {
      progress.next = next;
      progress.last = last;
      send(wire::pack(progress));
      progress = {};
      reported = Clock::now();
    };
    for (; options_.seconds > 0 || index < options_.cases; index += stride_) {
      if (board_.stopped() || (options_.seconds > 0 && seconds_since(start_) >= options_.seconds))
        break;
      if (const auto known = waiting_.find(index); known != waiting_.end() && known->second.died) {
        report(index + stride_, false);
        continue;
      }
      if (seconds_since(reported) >= report_seconds) report(index, false);
      board_.at_hand(k) = index;
      Judged judged = judge_timed(*target, sequence, options_, index, progress.stats);
      progress.stats.count(judged.c, judged.examination.verdict);
      if (judged.examination.verdict.kind != VerdictKind::skip)
        reach.count(judged.c, progress.stats.reach);
      if (!judged.examination.verdict.failed()) continue;
      wire::Failure failure{index,
                            from,
                            judged.examination.signature,
                            classify(judged.c, judged.examination.verdict),
                            judged.examination.verdict,
                            {}};
      if (told.insert(failure.signature).second)
        failure.found.push_back(
            finding_of(target->info(), options_.seed, index, std::move(judged)));
      send(wire::pack(failure));
      report(index + stride_, false);  // what it is counted in comes with it
    }
    report(index, true);
  }

  void wait() {
    std::vector<Child*> children;
    for (const Job& job : jobs_)
      if (!job.done) children.push_back(job.child.get());
    if (shrinker_) children.push_back(shrinker_.get());
    constexpr int milliseconds = 100;
    Child::await(children, milliseconds);
  }

  void receive(size_t k) {
    Job& job = jobs_[k];
    if (job.done) return;
    job.child->receive();
    while (const auto message = job.child->next()) {
      if (wire::kind_of(*message) == wire::Kind::failure) {
        auto failure = wire::unpack<wire::Failure>(*message);
        const uint64_t index = failure.index;
        waiting_[index] = {false, std::move(failure)};
      } else if (wire::kind_of(*message) == wire::Kind::progress) {
        const auto progress = wire::unpack<wire::Progress>(*message);
        stats_ += progress.stats;
        job.next = progress.next;
        job.done = progress.last;
      } else {
        rethrow(wire::unpack<wire::Trouble>(*message));
      }
    }
    if (job.done) return;
    kill_if_hanging(k);
    if (job.child->ended()) job_died(k);
  }

  void kill_if_hanging(size_t k) {
    Job& job = jobs_[k];
    const uint64_t at_hand = board_.at_hand(k);
    if (at_hand != job.seen_at_hand) {
      job.seen_at_hand = at_hand;
      job.seen = Clock::now();
    } else if (board_.in_process() && seconds_since(job.seen) > options_.hang_seconds) {
      job.child->kill();
      job.hung = true;
      job.seen = Clock::now();
    }
  }

  /// The process died on the case at hand: another one leaves it out. What that process had no time
  /// to report, a moment's work, is done again. Each death is at least one case nearer to the end.
  void job_died(size_t k) {
    const uint64_t index = board_.at_hand(k);
    Verdict verdict =
        verdict_of_death(jobs_[k].hung, options_.hang_seconds, jobs_[k].child->wait());
    note(fmt::format("process {} died on case {} ({}); another one goes on behind it", k, index,
                     verdict.detail));
    waiting_[index] = {true, {index, jobs_[k].first, {}, {}, std::move(verdict), {}}};
    start(k, jobs_[k].next == index ? index + stride_ : jobs_[k].next);
  }

  [[noreturn]] static void rethrow(const wire::Trouble& trouble) {
    if (trouble.bad_input) throw InputError(trouble.text);
    throw std::runtime_error(trouble.text);
  }

  /// Takes failures in the order of their cases, as far as all cases before are done; after an
  /// interrupt those that are there, for a case at hand may take long.
  void decide() {
    uint64_t done = UINT64_MAX;
    for (const Job& job : jobs_)
      if (!job.done && !stats_.interrupted) done = std::min(done, job.next);
    while (!shrinker_ && !waiting_.empty() && waiting_.begin()->first < done) {
      const Waiting& first = waiting_.begin()->second;
      const bool settled = enough() || is_known(first), late = too_late();
      if (!settled && late) tell_as_found(first);
      if (settled || late)
        waiting_.erase(waiting_.begin());
      else
        start_shrinking(first.died);
    }
  }

  void start_shrinking(bool alone) {
    const uint64_t index = waiting_.begin()->first;
    shrinking_alone_ = alone;
    shrinker_ = std::make_unique<Child>([this, index, alone](const Child::Send& send) {
      send_trouble(send, [&] { send(wire::pack(shrink_case(index, alone))); });
    });
  }

  /// In a child. Where the case has killed a process that ran the target, each run has one of its
  /// own.
  wire::Shrinking shrink_case(uint64_t index, bool alone) {
    std::unique_ptr<Target> target = open_();
    const bool in_process = !runs_in_worker(*target);
    if (alone && in_process)
      target = std::make_unique<ForkedTarget>(std::move(target), options_.hang_seconds * run_part);
    wire::Shrinking result;
    Sequence sequence(target->info().capabilities, options_.seed);
    Judged judged = judge_case(*target, sequence, options_, index);
    const bool fails_here = judged.examination.verdict.failed();
    result.finding = finding_of(target->info(), options_.seed, index, std::move(judged));
    Finding& finding = result.finding;
    const Stop stop = [this] { return board_.stopped(); };
    const History history(sequence, options_, waiting_.begin()->second.failure.first, index,
                          stride_);
    const ReplayableOptions options{options_.max_shrink_tries,
                                    stop,
                                    [&](uint64_t most) { return history.cases(most); },
                                    [&] { return history.runs(*target, stop); },
                                    &known_,
                                    options_.max_diagnose};
    if (!fails_here) {
      const auto& [died, failure] = waiting_.begin()->second;
      if (died && !in_process) return result;  // what died was a process of ours alone: a pass
      finding.first.verdict = failure.verdict;
      search_earlier(*target, finding, options);
      finding.first.signature = failure.signature;  // what the case is known by
      return result;
    }
    CampaignStats ignored;
    result.known = known_.count(finding.first.signature,
                                classify(finding.original, finding.first.verdict), ignored);
    if (!result.known) shrink_replayable(*target, finding, options);
    return result;
  }

  void receive_shrinking() {
    if (!shrinker_) return;
    shrinker_->receive();
    if (const auto message = shrinker_->next()) {
      if (wire::kind_of(*message) == wire::Kind::trouble)
        rethrow(wire::unpack<wire::Trouble>(*message));
      settle(wire::unpack<wire::Shrinking>(*message));
    } else if (shrinker_->ended()) {
      const std::string how = describe_end(shrinker_->wait());
      shrinker_.reset();
      if (shrinking_alone_) throw std::runtime_error("a process that shrinks a case died: " + how);
      start_shrinking(true);
    }
  }

  void settle(const wire::Shrinking& result) {
    const Finding& finding = result.finding;
    const Verdict& verdict = finding.first.verdict;
    if (waiting_.begin()->second.died) stats_.count(finding.original, verdict);
    if (result.known)
      known_.count(finding.first.signature, classify(finding.original, verdict), stats_);
    else if (verdict.failed() && known_.add(finding, stats_) && events_.finding)
      events_.finding(finding);
    if (enough()) board_.stop();
    waiting_.erase(waiting_.begin());
    shrinker_.reset();
  }

  const OpenTarget open_;
  const CampaignOptions options_;
  const CampaignEvents events_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point interrupted_;
  uint64_t stride_;
  Board board_;
  std::vector<Job> jobs_;
  std::map<uint64_t, Waiting> waiting_;  ///< by the case's index
  std::unique_ptr<Child> shrinker_;      ///< of the first that waits
  bool shrinking_alone_ = false;
  KnownFailures known_;
  CampaignStats stats_;
};

}  // namespace

CampaignStats run_campaign_jobs(const OpenTarget& open, const CampaignOptions& options, int jobs,
                                const CampaignEvents& events) {
  return Jobs(open, options, static_cast<size_t>(std::max(1, jobs)), events).run();
}

}  // namespace attnfuzz
