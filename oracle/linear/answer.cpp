#include "oracle/linear/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "oracle/linear/head.h"
#include "oracle/rows.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// What came with one step.
struct StepSources {
  Source q, k, v;
  std::optional<Source> gate, beta;
};

class RecurrentAnswerer {
 public:
  RecurrentAnswerer(const Case& c, const Plan& plan, const Inputs& inputs,
                    const Precision* precision)
      : c_(c),
        p_(c.problem),
        plan_(plan),
        inputs_(inputs),
        bounded_(precision != nullptr),
        head_(p_, precision) {}

  Answer run() {
    for (size_t n = 0; n < plan_.steps.size(); ++n) {
      const StepPlan& step = plan_.steps[n];
      if (!c_.cached()) {
        add_sources("");
        begin_step(p_.q_len);
      } else if (c_.steps[n].has_tokens()) {
        add_sources(fmt::format(".{}", n));
        begin_step(c_.steps[n].q_len);
      } else {
        sources_.emplace_back();
        answer_.steps.emplace_back();
      }
      for (size_t b = 0; b < step.rows.size(); ++b)
        if (!step.rows[b].queries.empty()) row(n, static_cast<int64_t>(b), step.rows[b]);
      answer_.steps.back().lengths = step.lengths;
      answer_.steps.back().positions = step.positions;
      answer_.steps.back().capacity = step.capacity;
    }
    return std::move(answer_);
  }

 private:
  void add_sources(const std::string& suffix) {
    const auto at = [&](const char* name) { return Source(p_.layout, inputs_.at(name + suffix)); };
    StepSources& step =
        sources_.emplace_back(StepSources{at("q"), at("k"), at("v"), {}, {}}).value();
    const KindTraits kind = traits(p_.kind);
    if (kind.gate >= Gate::head) step.gate = at("gate");
    if (kind.beta) step.beta = at("beta");
  }

  /// What no real query overwrites stays unchecked.
  void begin_step(int64_t q_len) {
    StepAnswer& step = answer_.steps.emplace_back();
    step.shape = shape_in(p_.layout, p_.batch, p_.num_heads, q_len, p_.head_dim_v);
    step.out.assign(static_cast<size_t>(element_count(step.shape)), 0.0);
    if (bounded_) step.bound.assign(step.out.size(), inf);
  }

  void row(size_t step, int64_t b, const RowPlan& plan) {
    const std::vector<KeyEntry> entries = plan.entries();
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      gather(g, entries, plan.starts);
      for (int64_t h = 0; h < p_.num_heads; ++h)
        for (const QueryRun& run : plan.queries)
          if (p_.kv_head(h) == g) read(step, b, h, run);
    }
  }

  void read(size_t step, int64_t b, int64_t h, const QueryRun& run) {
    StepAnswer& to = answer_.steps.back();
    const Rows rows(p_.layout, to.shape);
    std::vector<double> q(static_cast<size_t>(p_.head_dim));
    for (int64_t n = 0; n < run.count; ++n) {
      sources_[step]->q.read(b, h, run.i + n, q);
      const int64_t at = rows.index(b, h, run.i + n);
      head_.read(run.position + n, q, to.out.data() + at,
                 bounded_ ? to.bound.data() + at : nullptr);
    }
  }

  void read_gate(const Token& token, int64_t g, std::span<double> gate) const {
    const StepSources& from = *sources_[static_cast<size_t>(token.step)];
    if (traits(p_.kind).gate == Gate::fixed) gate[0] = fixed_gate(g);
    if (from.gate) from.gate->read(token.row, g, token.i, gate);
  }

  void gather(int64_t g, std::span<const KeyEntry> entries, const std::vector<int64_t>& starts) {
    const KindTraits kind = traits(p_.kind);
    std::vector<double> k(static_cast<size_t>(p_.head_dim)), v(static_cast<size_t>(p_.head_dim_v));
    std::vector<double> gate(kind.gate == Gate::key ? k.size() : kind.gate == Gate::none ? 0 : 1);
    double beta = 1;
    head_.clear();
    for (size_t t = 0; t < entries.size(); ++t) {
      const Token& token = entries[t].key;
      const StepSources& from = *sources_[static_cast<size_t>(token.step)];
      from.k.read(token.row, g, token.i, k);
      from.v.read(token.row, g, token.i, v);
      read_gate(token, g, gate);
      if (from.beta) from.beta->read(token.row, g, token.i, {&beta, 1});
      const bool begins = std::find(starts.begin(), starts.end(), t) != starts.end();
      head_.add({k, v, gate, beta, begins});
    }
    head_.solve();
  }

  const Case& c_;
  const Problem& p_;
  const Plan& plan_;
  const Inputs& inputs_;
  const bool bounded_;
  RecurrentHead head_;
  Answer answer_;
  std::vector<std::optional<StepSources>> sources_;  ///< by step
};

}  // namespace

Answer recurrent_answer(const Case& c, const Plan& plan, const Inputs& inputs,
                        const Precision* precision) {
  return RecurrentAnswerer(c, plan, inputs, precision).run();
}

}  // namespace attnfuzz
