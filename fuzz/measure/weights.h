#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fuzz/measure/experiment.h"

namespace attnfuzz::measure {

/// The weight with which every query takes every source's value, as a target
/// showed it.
struct Weights {
  size_t sources = 0;
  std::vector<double> w;           ///< [query][source]
  std::vector<uint8_t> nonfinite;  ///< [query] NaN or an infinity came out of finite values
  std::vector<double> offset;      ///< [query] what comes out where all values are 0
  /// [query] how far other values come out from what the weights make of them, against the sum of
  /// the weights: the outputs are no weighted sums, or not by these weights.
  std::vector<double> residual;

  std::span<const double> of(size_t query) const {
    return std::span(w).subspan(query * sources, sources);
  }
};

/// With q, k and all else as the forge has them: values that are 1 in one
/// source and 0 in all others give that source's weight. out is linear in v, so
/// an element of head_dim_v serves one source in each run: 1 + ⌈sources /
/// head_dim_v⌉ runs, and one of random values that the weights must explain. None where the budget
/// is too small or the target fails.
std::optional<Weights> weigh(Target& target, const Plan& plan, Forge& forge, Budget& budget);

/// The same weights as the backward pass has them: dv = Pᵀ grad_out, so that a
/// grad_out that is 1 in one query and 0 in all others gives the query's
/// weights. None where no dv is asked for, too.
std::optional<Weights> weigh_backward(Target& target, const Plan& plan, Forge& forge,
                                      Budget& budget);

/// What the case says of `weigh`, for scores(query, key) before softcap and
/// bias.
using Scores = std::function<double(const Query&, const Key&)>;
Weights expected(const Plan& plan, const Forge& forge, const Scores& scores);

/// How far, relative to it, a right target's weight may be from what the case
/// says.
double weight_error(const Case& c, const Precision& precision);

/// Whether a query's weights differ by more than that from what they should be.
bool differs(std::span<const double> got, std::span<const double> want, double error);

}  // namespace attnfuzz::measure
