// How a state decays and is carried on: of kinds of attention other than softmax. Chunks begin anew
// with each step's tokens.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "fuzz/faults/outputs.h"
#include "fuzz/faults/rewrite.h"
#include "oracle/linear/kinds.h"
#include "oracle/rows.h"

namespace attnfuzz::fault {
namespace {

using Applies = bool (*)(const Case&);

bool decays(const Case& c) {
  return traits(c.problem.kind).gate != Gate::none;
}
bool decays_by_key(const Case& c) {
  return traits(c.problem.kind).gate == Gate::key && c.problem.head_dim > 1;
}
bool decays_by_head(const Case& c) {
  return decays(c) && c.problem.num_kv_heads > 1;
}
bool decays_in_rows(const Case& c) {
  return decays(c) && c.cached() && c.problem.batch > 1;
}
bool has_beta(const Case& c) {
  return traits(c.problem.kind).beta;
}
bool always(const Case&) {
  return true;
}
/// Whether some step's tokens are more than a chunk.
template <int64_t chunk>
bool has_chunks(const Case& c) {
  int64_t longest = c.problem.q_len;
  for (const Step& step : c.steps) longest = std::max(longest, step.q_len);
  return longest > chunk;
}
template <int64_t chunk>
bool chunks_decay(const Case& c) {
  return decays(c) && has_chunks<chunk>(c);
}

/// The case as it is, or none.
template <Applies applies>
Rewritten same_if(const Case& c) {
  return applies(c) ? Rewritten(c) : std::nullopt;
}
/// With a gate as an input where the kind has a fixed one: see given_gates().
template <Applies applies>
Rewritten gated_if(const Case& original) {
  Rewritten c = same_if<applies>(original);
  if (c && c->problem.kind == ProblemKind::retnet) c->problem.kind = ProblemKind::ssd;
  return c;
}

// Inputs read in another way ----------------------------------------------------------------------

/// The endings of the names of a case's tensors, by step: none for a step without tokens.
std::vector<std::string> endings(const Case& c) {
  if (!c.cached()) return {""};
  std::vector<std::string> all;
  for (size_t n = 0; n < c.steps.size(); ++n) all.push_back("." + std::to_string(n));
  return all;
}

/// The number of a token among its step's real ones.
int64_t place_in_step(const Case& c, size_t step, const ElementAt& at) {
  return c.cached() ? at.s - c.steps[step].first_real(static_cast<size_t>(at.b)) : at.s;
}

/// Inputs with a tensor "gate", made from the kind's fixed one where it has no such input.
Inputs given_gates(const Case& c, Inputs inputs) {
  if (c.problem.kind != ProblemKind::retnet) return inputs;
  for (const std::string& ending : endings(c)) {
    const Tensor* k = inputs.find("k" + ending);
    if (k == nullptr) continue;
    inputs.add("gate" + ending, Tensor(DType::f64, {k->shape.begin(), k->shape.end() - 1}));
    inputs = changed_tensor(c, std::move(inputs), "gate" + ending,
                            [](double, const ElementAt& at) { return fixed_gate(at.h); });
  }
  return inputs;
}

/// The inputs with each of the named tensors changed: change(step, value, at).
template <class Change>
Inputs each_step_of(const Case& c, Inputs inputs, const std::string& name, const Change& change) {
  const std::vector<std::string> all = endings(c);
  for (size_t n = 0; n < all.size(); ++n)
    inputs = changed_tensor(c, std::move(inputs), name + all[n],
                            [&](double x, const ElementAt& at) { return change(n, x, at); });
  return inputs;
}

/// Every decay to this power.
template <int power>
Inputs powers(const Case& c, Inputs inputs) {
  return each_step_of(c, given_gates(c, std::move(inputs)), "gate",
                      [](size_t, double x, const ElementAt&) { return power * x; });
}
/// The decay of each chunk's first token, but for the first chunk's, to this power.
template <int64_t chunk, int power>
Inputs chunk_powers(const Case& c, Inputs inputs) {
  return each_step_of(c, given_gates(c, std::move(inputs)), "gate",
                      [&](size_t step, double x, const ElementAt& at) {
                        const int64_t place = place_in_step(c, step, at);
                        return place > 0 && place % chunk == 0 ? power * x : x;
                      });
}

/// The numbers of a tensor that stand at another place of it.
template <class From>
Inputs gates_from(const Case& c, Inputs inputs, const From& from) {
  inputs = given_gates(c, std::move(inputs));
  for (const std::string& ending : endings(c)) {
    const Tensor* gate = inputs.find("gate" + ending);
    if (gate == nullptr) continue;
    const Rows rows(c.problem.layout, gate->shape);
    const std::vector<double> values = gate->to_doubles();
    inputs =
        changed_tensor(c, std::move(inputs), "gate" + ending, [&](double, const ElementAt& at) {
          const ElementAt other = from(at);
          return values[static_cast<size_t>(rows.index(other.b, other.h, other.s) + other.d)];
        });
  }
  return inputs;
}
Inputs first_elements(const Case& c, Inputs inputs) {
  return gates_from(c, std::move(inputs), [](const ElementAt& at) {
    return ElementAt{at.b, at.h, at.s, 0};
  });
}
Inputs first_heads(const Case& c, Inputs inputs) {
  return gates_from(c, std::move(inputs), [](const ElementAt& at) {
    return ElementAt{at.b, 0, at.s, at.d};
  });
}

/// S = D (S' + k uᵀ): a token's own decay counts for what it writes. By the delta rule that is a
/// factor of beta, else of k.
Inputs own_decays(const Case& c, Inputs inputs) {
  const bool delta = traits(c.problem.kind).beta;
  const Inputs gated = given_gates(c, inputs);
  for (const std::string& ending : endings(c)) {
    const Tensor* gate = gated.find("gate" + ending);
    if (gate == nullptr) continue;
    const Rows rows(c.problem.layout, gate->shape);
    const std::vector<double> gates = gate->to_doubles();
    const bool by_key = gate->shape.size() > 3;
    inputs = changed_tensor(c, std::move(inputs), (delta ? "beta" : "k") + ending,
                            [&](double x, const ElementAt& at) {
                              const int64_t n = rows.index(at.b, at.h, at.s) + (by_key ? at.d : 0);
                              return x * std::exp(gates[static_cast<size_t>(n)]);
                            });
  }
  return given_gates(c, std::move(inputs));
}

Inputs no_beta(const Case& c, Inputs inputs) {
  return each_step_of(c, std::move(inputs), "beta",
                      [](size_t, double, const ElementAt&) { return 1.0; });
}

// Plans -------------------------------------------------------------------------------------------

bool starts_at(const RowPlan& row, int64_t key) {
  return std::find(row.starts.begin(), row.starts.end(), key) != row.starts.end();
}

/// Queries read the state before their own token; where that begins a document there is none.
Plan before_own_token(const Case& c) {
  Plan plan = lower(c);
  for (StepPlan& step : plan.steps)
    for (RowPlan& row : step.rows) {
      const std::vector<QueryRun> runs = std::move(row.queries);
      row.queries.clear();
      for (const QueryRun& run : runs)
        for (int64_t n = 0; n < run.count; ++n) {
          const int64_t own = run.position + n;
          row.add(QueryRun{run.i + n, starts_at(row, own) ? -1 : own - 1, own, 1});
        }
    }
  return plan;
}

Plan without_past(const Case& c) {
  Plan plan = lower(c);
  for (StepPlan& step : plan.steps)
    for (RowPlan& row : step.rows)
      if (!row.queries.empty()) row.starts.push_back(row.queries.front().position);
  return plan;
}

/// Each chunk of a step's tokens, but for the first, begins with an empty state.
template <int64_t chunk>
Plan chunks_apart(const Case& c) {
  Plan plan = lower(c);
  for (StepPlan& step : plan.steps)
    for (RowPlan& row : step.rows) {
      int64_t key = 0;
      for (const KeyEntry& entry : row.entries()) {
        const Token& token = entry.key;
        const int64_t place =
            place_in_step(c, static_cast<size_t>(token.step), {token.row, 0, token.i, 0});
        if (place > 0 && place % chunk == 0) row.starts.push_back(key);
        ++key;
      }
    }
  return plan;
}

// Evaluations of their own ------------------------------------------------------------------------

/// Step by step: each by inputs that are wrong for that step's outputs alone.
template <class InputsOf>
Answer by_step(const Case& c, const Inputs& inputs, const Precision& precision,
               const InputsOf& inputs_of) {
  Answer all = answer(c, inputs, precision);
  for (size_t n = 0; n < all.steps.size(); ++n) {
    if (all.steps[n].shape.empty()) continue;
    Answer one = answer(c, inputs_of(n), precision);
    all.steps[n] = std::move(one.steps[n]);
  }
  return all;
}

/// The state that a step goes on from decays by the step's tokens of the rows before as well.
Answer of_rows_before(const Case& c, const Inputs& inputs, const Precision& precision) {
  return by_step(c, inputs, precision, [&](size_t n) {
    const Step& step = c.steps[n];
    const std::string name = "gate." + std::to_string(n);
    const Tensor* gate = inputs.find(name);
    if (gate == nullptr || step.q_len <= 1) return inputs;
    const Rows rows(c.problem.layout, gate->shape);
    const std::vector<double> gates = gate->to_doubles();
    return changed_tensor(c, inputs, name, [&](double x, const ElementAt& at) {
      if (place_in_step(c, n, at) != 0) return x;
      for (int64_t b = 0; b < at.b; ++b) {
        const auto row = static_cast<size_t>(b);
        for (int64_t i = 0; i < step.real_tokens(row); ++i)
          x += gates[static_cast<size_t>(rows.index(b, at.h, step.first_real(row) + i) + at.d)];
      }
      return x;
    });
  });
}

/// The outputs of one chunk of a step's queries, taken from another evaluation.
void take_chunk(const Case& c, size_t n, int64_t first, int64_t last, const StepAnswer& from,
                StepAnswer& to) {
  const Problem& p = c.problem;
  const Rows rows(p.layout, to.shape);
  const auto dim = static_cast<size_t>(p.head_dim_v);
  for (int64_t b = 0; b < p.batch; ++b) {
    const auto row = static_cast<size_t>(b);
    const int64_t begin = c.cached() ? c.steps[n].first_real(row) : 0;
    const int64_t tokens = c.cached() ? c.steps[n].real_tokens(row) : p.q_len;
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = first; i < std::min(last, tokens); ++i) {
        const int64_t at = rows.index(b, h, begin + i);
        std::copy_n(from.out.begin() + at, dim, to.out.begin() + at);
        std::copy_n(from.bound.begin() + at, dim, to.bound.begin() + at);
      }
  }
}

/// Each chunk, but for a step's last, leaves its last token out of the state behind it: no later
/// query reads what it wrote.
template <int64_t chunk>
Answer last_of_chunks_missing(const Case& c, const Inputs& inputs, const Precision& precision) {
  const auto without = [&](size_t until, int64_t tokens) {
    return each_step_of(c, inputs, "k", [&](size_t step, double x, const ElementAt& at) {
      const int64_t place = place_in_step(c, step, at);
      const int64_t all =
          c.cached() ? c.steps[step].real_tokens(static_cast<size_t>(at.b)) : c.problem.kv_len;
      const bool is_last = place >= 0 && (place + 1) % chunk == 0 && place + 1 < all;
      return is_last && (step < until || (step == until && place < tokens)) ? 0 : x;
    });
  };
  Answer all = answer(c, inputs, precision);
  for (size_t n = 0; n < all.steps.size(); ++n) {
    if (all.steps[n].shape.empty()) continue;
    const int64_t tokens = c.cached() ? c.steps[n].q_len : c.problem.q_len;
    for (int64_t first = 0; first < tokens; first += chunk) {
      const Answer one = answer(c, without(n, first), precision);
      take_chunk(c, n, first, first + chunk, one.steps[n], all.steps[n]);
    }
  }
  return all;
}

constexpr Fault of_inputs(std::string_view name, std::string_view words,
                          Rewritten (*rewrite)(const Case&), Inputs (*read)(const Case&, Inputs)) {
  return {.name = name, .words = words, .rewrite = rewrite, .of = Fault::Of::state, .read = read};
}
constexpr Fault of_plan(std::string_view name, std::string_view words,
                        Rewritten (*rewrite)(const Case&), Plan (*plan)(const Case&)) {
  return {.name = name, .words = words, .rewrite = rewrite, .of = Fault::Of::state, .plan = plan};
}
constexpr Fault of_steps(std::string_view name, std::string_view words,
                         Rewritten (*rewrite)(const Case&),
                         Answer (*evaluate)(const Case&, const Inputs&, const Precision&)) {
  return {.name = name,
          .words = words,
          .rewrite = rewrite,
          .of = Fault::Of::state,
          .evaluate = evaluate};
}

constexpr Fault table[] = {
    of_inputs("gate-twice", "each decay is applied twice", gated_if<decays>, powers<2>),
    of_inputs("gate-inverse", "the state grows by what it should decay by", gated_if<decays>,
              powers<-1>),
    of_inputs("gate-of-own-token", "a token decays as it comes into the state", gated_if<decays>,
              own_decays),
    of_inputs("gate-first-element", "the gate of a key's element 0 is used for all of it",
              same_if<decays_by_key>, first_elements),
    of_inputs("gate-first-head", "the gate of the first KV head is used for all heads",
              gated_if<decays_by_head>, first_heads),
    of_steps("gate-of-rows-before",
             "the state that a step of several tokens goes on from decays by the tokens of the "
             "batch rows before as well, as if all rows were one sequence",
             same_if<decays_in_rows>, of_rows_before),
    of_plan("state-before-token", "a query reads the state before its own token is in it",
            same_if<always>, before_own_token),
    of_plan("state-not-carried", "each step begins with an empty state", same_if<always>,
            without_past),
#define ATTNFUZZ_CHUNK(size)                                                                       \
  of_inputs("chunk-" #size "-decay-missing",                                                       \
            "the first decay of each chunk of " #size " is missing", gated_if<chunks_decay<size>>, \
            chunk_powers<size, 0>),                                                                \
      of_inputs("chunk-" #size "-decay-twice",                                                     \
                "the first decay of each chunk of " #size " counts twice",                         \
                gated_if<chunks_decay<size>>, chunk_powers<size, 2>),                              \
      of_steps("chunk-" #size "-last-missing",                                                     \
               "each chunk of " #size " tokens leaves its last token out of the state",            \
               same_if<has_chunks<size>>, last_of_chunks_missing<size>),                           \
      of_plan("chunk-" #size "-state-lost",                                                        \
              "each chunk of " #size " tokens begins with an empty state",                         \
              same_if<has_chunks<size>>, chunks_apart<size>)
    ATTNFUZZ_CHUNK(16),
    ATTNFUZZ_CHUNK(32),
    ATTNFUZZ_CHUNK(64),
#undef ATTNFUZZ_CHUNK
    of_inputs("gate-ignored", "the state does not decay", gated_if<decays>, powers<0>),
    of_inputs("beta-ignored", "beta is 1 for all tokens", same_if<has_beta>, no_beta),
};

}  // namespace

std::span<const Fault> state() {
  return table;
}

}  // namespace attnfuzz::fault
