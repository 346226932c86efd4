#include "oracle/linear/answer.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <vector>

#include "oracle/cache_model.h"
#include "oracle/linear/head.h"
#include "oracle/misreading.h"
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
  RecurrentAnswerer(const Case& c, const Inputs& inputs, const Precision* precision)
      : c_(c),
        p_(c.problem),
        inputs_(inputs),
        bounded_(precision != nullptr),
        reading_(misreading_of(p_).state),
        head_(p_, precision, reading_) {}

  Answer run() {
    c_.cached() ? run_steps() : run_plain();
    return std::move(answer_);
  }

 private:
  void run_plain() {
    add_sources("");
    begin_step(p_.q_len);
    std::vector<Token> tokens(static_cast<size_t>(p_.kv_len));
    for (int64_t b = 0; b < p_.batch; ++b) {
      for (int64_t j = 0; j < p_.kv_len; ++j)
        tokens[static_cast<size_t>(j)] = {0, static_cast<int32_t>(b), j};
      row(0, b, tokens, 0);
    }
  }

  void run_steps() {
    CacheModel model(c_);
    for (size_t n = 0; n < c_.steps.size(); ++n) {
      model.apply(n);
      if (c_.steps[n].has_tokens()) {
        add_sources(fmt::format(".{}", n));
        begin_step(c_.steps[n].q_len);
        for (int64_t b = 0; b < p_.batch; ++b)
          row(n, b, model.tokens(b),
              static_cast<int64_t>(model.tokens(b).size()) - model.new_tokens(b));
      } else {
        sources_.emplace_back();
        answer_.steps.emplace_back();
      }
      answer_.steps.back().lengths = model.lengths();
      answer_.steps.back().positions = model.next_positions();
      answer_.steps.back().capacity = model.capacity();
    }
  }

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

  /// The queries of `tokens` from the first new one on.
  void row(size_t step, int64_t b, std::span<const Token> tokens, int64_t first_new) {
    StepAnswer& to = answer_.steps.back();
    const Rows rows(p_.layout, to.shape);
    std::vector<double> q(static_cast<size_t>(p_.head_dim));
    for (int64_t g = 0; g < p_.num_kv_heads; ++g) {
      gather(g, tokens, first_new);
      for (int64_t h = 0; h < p_.num_heads; ++h) {
        if (p_.kv_head(h) != g) continue;
        for (size_t t = static_cast<size_t>(first_new); t < tokens.size(); ++t) {
          sources_[step]->q.read(b, h, tokens[t].i, q);
          const int64_t at = rows.index(b, h, tokens[t].i);
          head_.read(static_cast<int64_t>(t), q, to.out.data() + at,
                     bounded_ ? to.bound.data() + at : nullptr);
        }
      }
    }
  }

  void read_gate(const Token& token, int64_t g, std::span<double> gate) const {
    const StepSources& from = *sources_[static_cast<size_t>(token.step)];
    if (traits(p_.kind).gate == Gate::fixed) gate[0] = fixed_gate(g);
    if (from.gate) from.gate->read(token.row, reading_.first_gate_head ? 0 : g, token.i, gate);
    if (reading_.first_gate_dim) std::fill(gate.begin(), gate.end(), gate.empty() ? 0 : gate[0]);
  }

  /// Adds the gates of what the step brings to the rows before (StateReading::rows_before).
  void add_rows_before(const Token& first, int64_t g, std::span<double> gate) const {
    if (!c_.cached()) return;
    const Step& step = c_.steps[static_cast<size_t>(first.step)];
    std::vector<double> other(gate.size());
    for (int32_t row = 0; step.q_len > 1 && row < first.row; ++row) {
      const auto b = static_cast<size_t>(row);
      for (int64_t i = 0; i < step.real_tokens(b); ++i) {
        read_gate({first.step, row, step.first_real(b) + i}, g, other);
        for (size_t d = 0; d < gate.size(); ++d) gate[d] += other[d];
      }
    }
  }

  void gather(int64_t g, std::span<const Token> tokens, int64_t first_new) {
    const KindTraits kind = traits(p_.kind);
    std::vector<double> k(static_cast<size_t>(p_.head_dim)), v(static_cast<size_t>(p_.head_dim_v));
    std::vector<double> gate(kind.gate == Gate::key ? k.size() : kind.gate == Gate::none ? 0 : 1);
    double beta = 1;
    head_.clear();
    for (size_t t = 0; t < tokens.size(); ++t) {
      const Token& token = tokens[t];
      const StepSources& from = *sources_[static_cast<size_t>(token.step)];
      from.k.read(token.row, g, token.i, k);
      from.v.read(token.row, g, token.i, v);
      read_gate(token, g, gate);
      if (reading_.rows_before && static_cast<int64_t>(t) == first_new)
        add_rows_before(token, g, gate);
      if (from.beta) from.beta->read(token.row, g, token.i, {&beta, 1});
      const int64_t in_step = place_in_step(token);
      const bool anew =
          begins_document(token.i) || (!reading_.past && static_cast<int64_t>(t) == first_new);
      const bool chunk = reading_.chunk > 0 && in_step > 0 && in_step % reading_.chunk == 0;
      head_.add({k, v, gate, beta, anew, chunk});
    }
    head_.solve();
  }

  int64_t place_in_step(const Token& token) const {
    if (!c_.cached()) return token.i;
    const Step& step = c_.steps[static_cast<size_t>(token.step)];
    return token.i - step.first_real(static_cast<size_t>(token.row));
  }

  bool begins_document(int64_t i) const {
    const RuleUse* documents = p_.mask.find("documents");
    if (documents == nullptr) return false;
    for (const int64_t len : documents->list(0)) {
      if (i == 0) return true;
      i -= len;
    }
    return false;
  }

  const Case& c_;
  const Problem& p_;
  const Inputs& inputs_;
  const bool bounded_;
  const StateReading& reading_;
  RecurrentHead head_;
  Answer answer_;
  std::vector<std::optional<StepSources>> sources_;  ///< by step
};

}  // namespace

Answer recurrent_answer(const Case& c, const Inputs& inputs, const Precision* precision) {
  return RecurrentAnswerer(c, inputs, precision).run();
}

}  // namespace attnfuzz
