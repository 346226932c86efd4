#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/measure/reading.h"
#include "fuzz/measure/statement.h"
#include "fuzz/measure/vectors.h"
#include "fuzz/measure/where.h"

namespace attnfuzz::measure {

/// What was measured of one case with random q and k.
struct Scored {
  std::unique_ptr<const Plan> plan;  ///< that `vectors` refers to
  std::unique_ptr<const Vectors> vectors;
  Weights got, want;
  std::vector<double> sinks;  ///< by query head
  double error = 0;           ///< of a right target's weights, relative
};

/// One query of it: the logarithms of its weights, as far as they were seen.
struct Row {
  const Scored* of = nullptr;
  size_t query = 0;
  std::vector<size_t> keys;   ///< of Query::keys, those with a weight that can be measured
  std::vector<double> log_w;  ///< of keys
  std::vector<double> want;   ///< what the case says of them

  const Query& at() const { return of->plan->queries[query]; }
  const Problem& problem() const { return of->plan->c.problem; }
  /// Whether these scores (before softcap and bias) give the measured weights,
  /// up to a factor.
  bool fits(const std::vector<double>& scores) const;
  /// The largest difference between two log weights, less that of these scores:
  /// 0 where they fit.
  double spread(const std::vector<double>& scores) const;
  /// The same of what enters the softmax itself.
  double spread_finished(const std::vector<double>& scores) const;
  double tolerance() const;
};

/// From which scores the weights of queries come, that take the right tokens;
/// and the plainest words for what differs over all cases.
class ScoreFacts {
 public:
  /// Whether all its rows have the right weights.
  bool add(Scored scored);
  bool differs() const { return !wrong_.empty(); }
  std::vector<Statement> statements() const;

 private:
  std::vector<std::unique_ptr<const Scored>> cases_;
  std::vector<Row> wrong_, right_;
};

/// An explanation of the wrong rows' weights, in words, where all of them have it; the right rows
/// must not speak against it.
using Explain = std::optional<std::string> (*)(const std::vector<Row>& wrong,
                                               const std::vector<Row>& right);
/// Those that are tried, the plainest first: see explain_*.cpp.
std::optional<std::string> explain_scale(const std::vector<Row>& wrong,
                                         const std::vector<Row>& right);
std::optional<std::string> explain_softcap(const std::vector<Row>& wrong,
                                           const std::vector<Row>& right);
std::optional<std::string> explain_queries(const std::vector<Row>& wrong,
                                           const std::vector<Row>& right);
std::optional<std::string> explain_rope_widths(const std::vector<Row>& wrong,
                                               const std::vector<Row>& right);
std::optional<std::string> explain_rotation(const std::vector<Row>& wrong,
                                            const std::vector<Row>& right);
std::optional<std::string> explain_keys(const std::vector<Row>& wrong,
                                        const std::vector<Row>& right);
std::optional<std::string> explain_moved_keys(const std::vector<Row>& wrong,
                                              const std::vector<Row>& right);
std::optional<std::string> explain_alibi(const std::vector<Row>& wrong,
                                         const std::vector<Row>& right);
std::optional<std::string> explain_bias(const std::vector<Row>& wrong,
                                        const std::vector<Row>& right);
std::optional<std::string> explain_precision(const std::vector<Row>& wrong,
                                             const std::vector<Row>& right);
std::optional<std::string> explain_parts(const std::vector<Row>& wrong,
                                         const std::vector<Row>& right);

/// The declared raw scores of a row's measured keys by another problem's scale
/// and rope.
std::vector<double> scores_as(const Row& row, const Problem& as);

}  // namespace attnfuzz::measure
