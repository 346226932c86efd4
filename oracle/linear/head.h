#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "oracle/answer.h"
#include "oracle/bounds.h"
#include "oracle/case.h"
#include "oracle/linear/kinds.h"

namespace attnfuzz {

/// A token as a state takes it in.
struct StateToken {
  std::span<const double> k, v;  ///< [head_dim], [head_dim_v]
  std::span<const double> gate;  ///< [head_dim], [1], or none
  double beta = 1;
  bool begins = false;  ///< a document: nothing before it counts
};

/// The O(n²) parallel form of the recurrences, for one KV head of one batch row, with error
/// bounds: no state, each output is a sum over all tokens before.
///   out_t = Σ_{s ≤ t} a_ts u_s,  a_ts = scale · Σ_d q_td k_sd Π_{s < p ≤ t} D_pd
/// and u = v, or for the delta rule the solution of (I + L) u = beta v with L_ts = beta_t Σ_d k_td
/// k_sd Π D_p for s < t, by substitution (Yang et al. 2024). Bounds: oracle/linear/bounds.md.
class RecurrentHead {
 public:
  /// `precision` null: no bounds.
  RecurrentHead(const Problem& problem, const Precision* precision);

  void clear();
  void add(const StateToken& token);
  /// Call when all tokens have been added.
  void solve();
  /// What a query reads of the state after token t (−1: before all, zeros): out, and bound unless
  /// that is null, [head_dim_v].
  void read(int64_t t, std::span<const double> q, double* out, double* bound);

 private:
  struct ErrorTerms {
    ErrorModel model;
    double narrow, limit;  ///< relative error of values in the type of p; largest intermediate
  };

  const double* k(int64_t s) const { return k_.data() + s * dim_; }
  const double* gate(int64_t s) const { return gate_.data() + s * gates_; }
  void weigh(int64_t t, const double* q);
  void weigh_by_head(int64_t t, const double* q);
  void weigh_by_key(int64_t t, const double* q);
  double gate_error(int64_t t, int64_t s, int64_t d) const;
  double term_error(int64_t t) const;
  void substitute(int64_t t);
  void bound_inputs();
  double smallest(int64_t t, double q_norm) const;

  const Problem& p_;
  const KindTraits traits_;
  const int64_t dim_, dim_v_, gates_;
  std::optional<ErrorTerms> errors_;
  int64_t size_ = 0;
  std::vector<double> k_, u_, gate_, beta_,
      sums_;  ///< sums_: Σ |gate|, of the token and all before
  std::vector<double> u_error_, v_;
  std::vector<int64_t> begin_;                   ///< the first token that counts
  double k_norm_ = 0, state_ = 0, largest_ = 0;  ///< max ‖k‖₁, Σ max|k| max|u|, max |u|, |v|
  // Of one query: a_ts; its terms' absolute values; and what they may be off by.
  std::vector<double> a_, abs_, error_;
  std::vector<double> l_abs_, l_error_, inverse_;  ///< [size, size]: |L|, its error, (I + L)⁻¹
};

}  // namespace attnfuzz
