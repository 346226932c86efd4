#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fuzz/measure/plan.h"
#include "targets/target.h"

namespace attnfuzz::measure {

/// How much the experiments on a target may cost. Empty budgets end measuring,
/// never a campaign.
class Budget {
 public:
  Budget(int64_t runs, double seconds) : runs_(runs), seconds_(seconds) {}
  /// Whether there is room for so many more runs.
  bool allows(int64_t runs) const { return used_ + runs <= runs_ && elapsed() < seconds_; }
  void spend() { ++used_; }
  int64_t used() const { return used_; }
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  int64_t runs_, used_ = 0;
  double seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The tensors of a case in the hands of an experiment.
class Forge {
 public:
  explicit Forge(const Plan& plan);

  /// Fills the rows of q ("q", or "q.<step>"): set(query head, row, step,
  /// place, row's elements).
  using FillQuery =
      std::function<void(int32_t step, int64_t b, int64_t h, int64_t i, std::span<double> row)>;
  void queries(const FillQuery& fill);
  /// Fills k or v of each source, memory KV too. What stands for no source (the
  /// padding of a ragged step) is one: its index is handed over as well.
  using FillSource = std::function<void(size_t source, std::span<double> row)>;
  void keys(const FillSource& fill) { sources("k", "mem_k", fill); }
  void values(const FillSource& fill) { sources("v", "mem_v", fill); }
  /// Fills the rows of grad_out, by batch row, query head and query.
  void grad_out(const std::function<void(std::span<double> row)>& fill);
  /// The same of "gate" and "beta"; the rows have one element where they have
  /// no dim.
  void extra(const std::string& name, const FillSource& fill) { sources(name, "", fill); }
  /// Every element of a tensor that is there.
  void fill(std::string_view name, double value);

  const Inputs& inputs() const { return inputs_; }
  double sink(int64_t h) const;
  /// With which KV head `g`'s "k_scales" or "v_scales" are given; `otherwise` where they are not.
  double scale(std::string_view name, int64_t g, double otherwise) const;

 private:
  void sources(const std::string& name, const std::string& memory, const FillSource& fill);

  const Plan& plan_;
  Inputs inputs_;
};

/// What a target gave: out of each step as doubles, in the case's layout.
struct Given {
  std::vector<std::vector<double>> out;
  std::vector<Shape> shapes;
  std::map<Output, std::vector<double>> more;  ///< of a case without steps
};
/// None where the target does not answer with outputs of the right shapes.
std::optional<Given> run(Target& target, const Plan& plan, const Forge& forge, Budget& budget);

/// The row of `out` that a query asks for.
std::span<const double> row_of(const Plan& plan, const Given& given, const Query& query);

}  // namespace attnfuzz::measure
