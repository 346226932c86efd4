#include <algorithm>

#include "fuzz/campaign.h"
#include "oracle/work.h"

namespace attnfuzz {
namespace {

/// Where each failure ends the process (a sticky CUDA error), a new one takes seconds on a device:
/// so many are enough.
constexpr int most_ended = 24;

/// Runs cases in search of one failure.
class Search {
 public:
  /// `first`: the failure sought.
  Search(Target& target, const Verdict& first, const Stop& stop, Restart restart)
      : target_(target), first_(first), stop_(stop), restart_(restart) {}

  /// The failure of a case that the target claims; none if it passes. Of a failure with meanings,
  /// no others are looked for.
  std::optional<FailureClass> run(const Case& c, const FailureClass& sought) {
    if (!target_.info().capabilities.rejection_reason(c).empty()) return {};
    const Among among = sought.meanings.empty() ? nullptr : &sought.meanings;
    if (restart_ == Restart::always) target_.restart();
    last_ = examine_like(target_, c, first_, among);
    ended_ += last_.outcome.final ? 1 : 0;
    if (!last_.verdict.failed()) return {};
    if (restart_ == Restart::after_failure) target_.restart();
    return classify(c, last_.verdict);
  }

  /// Narrows what is known of c's failure by cases near c that fail the same way. Those that could
  /// not be told to be the same may be once more is known.
  void learn(const Case& c, FailureClass& known) {
    if (!known.is_ambiguous() || is_long(c)) return;
    std::vector<Case> near = probes(c);
    for (Reduction& reduction : reductions(c)) near.push_back(std::move(reduction.c));
    std::vector<FailureClass> others;
    for (const Case& probe : near) {
      if (stopped() || !known.is_ambiguous()) return;
      if (is_long(probe)) continue;  // its failure would not be explained: it narrows nothing
      const std::optional<FailureClass> found = run(probe, known);
      if (!found) continue;
      if (known.covers(*found))
        known.narrow(*found);
      else
        others.push_back(*found);
    }
    for (const FailureClass& other : others)
      if (known.covers(other)) known.narrow(other);
  }

  bool stopped() const { return ended_ >= most_ended || (stop_ && stop_()); }
  Examination& last() { return last_; }

 private:
  Target& target_;
  const Verdict first_;
  const Stop stop_;
  Restart restart_;
  Examination last_;
  int ended_ = 0;  ///< processes
};

bool same_numbers(const FailureClass& a, const FailureClass& b) {
  return std::equal(a.numbers.begin(), a.numbers.end(), b.numbers.begin(), b.numbers.end(),
                    [](const NumberReading& x, const NumberReading& y) {
                      return x.names == y.names && x.constant == y.constant;
                    });
}

}  // namespace

Stop stop_at(const std::atomic<bool>* interrupt) {
  if (interrupt == nullptr) return {};
  return [interrupt] { return interrupt->load(); };
}

Examination examine_like(Target& target, const Case& c, const Verdict& like, Among among) {
  return like.failure == FailureKind::relation
             ? examine_relation(target, c, *like.relation)
             : examine(target, c, like.failure == FailureKind::nondeterminism, among);
}

void shrink_finding(Target& target, Finding& finding, int64_t max_tries, const Stop& stop,
                    Restart restart) {
  Search search(target, finding.first.verdict, stop, restart);
  FailureClass sought = classify(finding.original, finding.first.verdict);
  if (max_tries > 0) search.learn(finding.original, sought);
  finding.last = finding.first;
  finding.learned = sought;
  finding.shrunk = {};
  finding.shrunk.c = finding.original;
  while (max_tries > 0) {
    Shrunk more = shrink(
        finding.shrunk.c,
        [&](const Case& candidate) {
          const std::optional<FailureClass> found = search.run(candidate, sought);
          if (!found || !sought.admits(*found)) return false;
          sought.follow(*found);
          finding.last = std::move(search.last());
          return true;
        },
        max_tries - finding.shrunk.tried, [&] { return search.stopped(); });
    const bool smaller = !more.history.empty(), first = finding.shrunk.tried == 0;
    finding.shrunk.follow(std::move(more));
    if (smaller)  // all that it means, not only what was sought
      if (const auto found = search.run(finding.shrunk.c, {}); found && sought.admits(*found))
        finding.last = std::move(search.last());
    if (!smaller && !first) break;
    // From here on the shrunk case alone, so that the signature does not depend on the original.
    finding.learned = classify(finding.shrunk.c, finding.last.verdict);
    search.learn(finding.shrunk.c, finding.learned);
    if (!finding.shrunk.minimal || same_numbers(finding.learned, sought)) break;
    sought = finding.learned;  // which may admit smaller cases
  }
  finding.signature = signature(target.info().name, finding.learned);
}

}  // namespace attnfuzz
