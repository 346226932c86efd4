#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "oracle/case.h"
#include "oracle/inputs.h"

namespace attnfuzz {

/// Where a token of a twin comes from: token s of row b in the original's step. step −1: nowhere,
/// it holds zeros (and decays nothing).
struct Origin {
  int64_t step = -1, b = 0, s = 0;
  bool known() const { return step >= 0; }
};

/// The origins of one step's tokens, [batch, len], and what the cache then holds.
struct StepOrigins {
  std::vector<Origin> queries, keys;  ///< empty for a step without tokens
  int64_t state_of = -1;              ///< after the original's step …; −1: nothing comparable
  std::vector<int64_t> rows;          ///< … its row for each row here
};

/// A case made from another one such that the outputs must agree: each query's with that of its
/// origin, times `factor`.
struct Twin {
  Case c;
  std::vector<StepOrigins> steps;  ///< one for each of the twin's; one for a case without steps
  double factor = 1;               ///< all values are multiplied by it
  double q_factor = 1;             ///< all queries are, and the scale is divided by it
  bool finite_bias = false;        ///< where a bias is −inf it is the type's lowest number
};

/// The original's own step, as a step of a twin.
StepOrigins own_step(const Case& c, size_t step);
/// A twin that is the case itself.
Twin same(const Case& c);

/// The twin's inputs: its tokens from where they come from, all else as its case says.
Inputs twin_inputs(const Case& c, const Inputs& inputs, const Twin& twin);

// What relations ask of a case ------------------------------------------------------------------

/// Whether a feature word begins so.
bool uses(const Case& c, std::string_view beginning);
/// Whether a cached case's steps bring as many queries as keys, row by row.
bool has_plain_steps(const Case& c);
/// Whether all that the case's tensors hold belongs to its tokens or is the same for all cases of
/// this seed, so that a twin can have it: forward alone, without dropout.
bool can_have_twin(const Case& c);
/// Whether no mask rule draws its elements from a row's or query's number.
bool mask_moves_along(const Case& c);
/// Whether no query sees a token that comes after its own.
bool sees_no_future(const Case& c);
/// Whether a mask rule has a parameter for each row of the batch.
bool has_rules_by_row(const Case& c);
/// Whether all finite numbers of these inputs ("q", or "q.0" …), times `factor`, are numbers of
/// their type: so that dividing gives them back.
bool multiplies_exactly(const Case& c, std::string_view role, double factor);
/// A number from the case's seed in [lo, hi], the same whenever asked.
int64_t chosen(const Case& c, int64_t lo, int64_t hi);

/// These rows of the batch alone; none where the case's rows have to do with each other.
std::optional<Twin> rows_of(const Case& c, const std::vector<int64_t>& rows);

}  // namespace attnfuzz
