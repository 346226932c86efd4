#pragma once
#include <Eigen/Core>
#include <cstdint>
#include <limits>
#include <vector>

#include "oracle/bounds.h"
#include "oracle/case.h"

namespace attnfuzz {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Keys and values of one batch row and key head, memory keys first, with 0 for what is not finite.
struct BackwardKeys {
  Matrix k, v;                  ///< [keys, head_dim], [keys, head_dim_v]
  std::vector<uint8_t> finite;  ///< [keys]: whether nothing had to be replaced
};

/// Some queries of one head.
struct BackwardBlock {
  Matrix q, grad_out;            ///< [rows, head_dim], [rows, head_dim_v]
  std::vector<uint8_t> visible;  ///< [rows, keys], memory keys included
  std::vector<uint8_t> shown;    ///< as P is made anew by another mask, for a Slip; or empty
  Matrix bias;                   ///< [rows, keys], or empty: none
  Matrix kept;                   ///< [rows, keys] dropout's factors, 0 or 1/keep; or empty
  double sink = -std::numeric_limits<double>::infinity();
};

/// A part of a gradient and the bounds of its elements' errors.
struct BackwardSum {
  Matrix value, error;
};

/// What a block of queries adds to the gradients.
struct BackwardShare {
  BackwardSum dq, dk, dv;  ///< [rows, head_dim], [keys, head_dim], [keys, head_dim_v]
  BackwardSum ds;          ///< [rows, keys]: what the bias gets
  double dsink = 0, dsink_error = 0;
  std::vector<uint8_t> unchecked;  ///< [rows]: has no part in the above, and nothing is sure there
};

/// The backward pass of one head. Bounds only with a model. Keeps its buffers from call to call.
class HeadBackward {
 public:
  /// `terms`: how many queries dk, dv and dsinks are summed over.
  HeadBackward(const Problem& problem, const ErrorModel* model, int64_t terms)
      : problem_(problem), model_(model), terms_(static_cast<double>(terms)) {}

  const BackwardShare& run(const BackwardKeys& keys, const BackwardBlock& block);

 private:
  using Row = Eigen::Array<double, 1, Eigen::Dynamic>;

  void set_block(const BackwardKeys& keys, const BackwardBlock& block);
  void weigh(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r);
  void bound_weights(const BackwardBlock& block, Eigen::Index r, const Row& s, const Row& p,
                     double max, double sum);
  void differentiate(const BackwardBlock& block, Eigen::Index r);
  void bound_differences(const BackwardBlock& block, Eigen::Index r, double dot);
  double dot_error(const BackwardBlock& block, Eigen::Index r, const Row& edp, double dot) const;
  void collect(const BackwardKeys& keys, const BackwardBlock& block);
  void bound_sums();
  void leave_out(Eigen::Index r);
  double summing(double terms) const;

  const Problem& problem_;
  const ErrorModel* model_;
  double terms_;
  BackwardShare share_;
  Matrix abs_k_, abs_v_, abs_q_, abs_g_;
  Row largest_v_;
  double k_norm_ = 0, v_norm_ = 0;
  Matrix s_, abs_s_, slope_, eslope_;  ///< [rows, keys]; slope: the softcap's
  Matrix p_, ep_, a_, ea_;             ///< P, and with dropout: as it weighs v
  Matrix dp_, abs_dp_, dz_, edz_;
  Matrix o_, wo_, w_;
  Row sink_p_, sink_ep_;  ///< [rows]
  std::vector<RowError> errors_;
};

}  // namespace attnfuzz
