// How a state decays and is carried on: of kinds of attention other than softmax.
#include <algorithm>

#include "oracle/alternatives/rewrite.h"
#include "oracle/linear/kinds.h"
#include "oracle/misreading.h"

namespace attnfuzz::alternative {
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

constexpr Misreading gate_ignored{.state = {.gate_power = 0}};
constexpr Misreading gate_twice{.state = {.gate_power = 2}};
constexpr Misreading gate_inverse{.state = {.gate_power = -1}};
constexpr Misreading gate_own{.state = {.own_decay = true}};
constexpr Misreading gate_first_element{.state = {.first_gate_dim = true}};
constexpr Misreading gate_first_head{.state = {.first_gate_head = true}};
constexpr Misreading beta_ignored{.state = {.beta = false}};
constexpr Misreading own_missing{.state = {.own_token = false}};
constexpr Misreading no_past{.state = {.past = false}};
constexpr Misreading of_rows_before{.state = {.rows_before = true}};
template <int64_t size>
constexpr Misreading chunk_no_decay{.state = {.chunk = size, .chunk_decay = 0}};
template <int64_t size>
constexpr Misreading chunk_two_decays{.state = {.chunk = size, .chunk_decay = 2}};
template <int64_t size>
constexpr Misreading chunk_last_missing{.state = {.chunk = size, .chunk_last = false}};
template <int64_t size>
constexpr Misreading chunk_empty{.state = {.chunk = size, .chunk_state = false}};

template <const Misreading& reading, Applies applies>
Rewritten read_as(const Case& c) {
  if (!applies(c)) return {};
  Case other = c;
  other.problem.misreading = &reading;
  return other;
}

template <const Misreading& reading, Applies applies>
constexpr Alternative line(std::string_view name, std::string_view words) {
  return {name, words, read_as<reading, applies>, Alternative::Of::state};
}

constexpr Alternative table[] = {
    line<gate_twice, decays>("gate-twice", "each decay is applied twice"),
    line<gate_inverse, decays>("gate-inverse", "the state grows by what it should decay by"),
    line<gate_own, decays>("gate-of-own-token", "a token decays as it comes into the state"),
    line<gate_first_element, decays_by_key>("gate-first-element",
                                            "the gate of a key's element 0 is used for all of it"),
    line<gate_first_head, decays_by_head>("gate-first-head",
                                          "the gate of the first key head is used for all heads"),
    line<of_rows_before, decays_in_rows>(
        "gate-of-rows-before",
        "the state that a step of several tokens goes on from decays by the tokens of the batch "
        "rows before as well, as if all rows were one sequence"),
    line<own_missing, always>("state-before-token",
                              "a query reads the state before its own token is in it"),
    line<no_past, always>("state-not-carried", "each step begins with an empty state"),
#define ATTNFUZZ_CHUNK(size)                                                                     \
  line<chunk_no_decay<size>, chunks_decay<size>>(                                                \
      "chunk-" #size "-decay-missing", "the first decay of each chunk of " #size " is missing"), \
      line<chunk_two_decays<size>, chunks_decay<size>>("chunk-" #size "-decay-twice",            \
                                                       "the first decay of each chunk of " #size \
                                                       " counts twice"),                         \
      line<chunk_last_missing<size>, has_chunks<size>>(                                          \
          "chunk-" #size "-last-missing",                                                        \
          "each chunk of " #size " tokens leaves its last token out of the state"),              \
      line<chunk_empty<size>, has_chunks<size>>("chunk-" #size "-state-lost",                    \
                                                "each chunk of " #size                           \
                                                " tokens begins with an empty state")
    ATTNFUZZ_CHUNK(16),
    ATTNFUZZ_CHUNK(32),
    ATTNFUZZ_CHUNK(64),
#undef ATTNFUZZ_CHUNK
    line<gate_ignored, decays>("gate-ignored", "the state does not decay"),
    line<beta_ignored, has_beta>("beta-ignored", "beta is 1 for all tokens"),
};

}  // namespace

std::span<const Alternative> state() {
  return table;
}

}  // namespace attnfuzz::alternative
