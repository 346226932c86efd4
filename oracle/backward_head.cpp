#include "oracle/backward_head.h"

namespace attnfuzz {

/// The products of queries and keys, and room for all that is made of them.
void HeadBackwardBase::set_block(const BackwardKeys& keys, const BackwardBlock& block) {
  s_.noalias() = block.q * keys.k.transpose();
  dp_.noalias() = block.grad_out * keys.v.transpose();
  const Eigen::Index rows = s_.rows(), count = s_.cols();
  for (Matrix* matrix : {&p_, &a_, &dz_, &share_.ds.value}) matrix->setZero(rows, count);
  slope_.setOnes(rows, count);
  sink_p_.setZero(rows);
  share_.dsink = share_.dsink_error = 0;
  share_.unchecked.assign(static_cast<size_t>(rows), 0);
  if (model_ == nullptr) return;
  abs_k_ = keys.k.cwiseAbs();
  abs_v_ = keys.v.cwiseAbs();
  abs_q_ = block.q.cwiseAbs();
  abs_g_ = block.grad_out.cwiseAbs();
  largest_v_ = Row::Zero(keys.v.cols());
  if (count > 0) largest_v_ = abs_v_.colwise().maxCoeff();
  k_norm_ = count > 0 ? abs_k_.rowwise().sum().maxCoeff() : 0;
  v_norm_ = count > 0 ? abs_v_.rowwise().sum().maxCoeff() : 0;
  abs_s_.noalias() = abs_q_ * abs_k_.transpose();
  abs_dp_.noalias() = abs_g_ * abs_v_.transpose();
  for (Matrix* matrix : {&ep_, &ea_, &edz_, &w_, &eslope_, &share_.ds.error})
    matrix->setZero(rows, count);
  sink_ep_.setZero(rows);
  errors_.assign(static_cast<size_t>(rows), {});
}

/// A row about which nothing is sure.
void HeadBackwardBase::leave_out(Eigen::Index r) {
  share_.unchecked[static_cast<size_t>(r)] = 1;
  for (Matrix* matrix : {&p_, &a_, &dz_, &share_.ds.value}) matrix->row(r).setZero();
  sink_p_[r] = 0;
  if (model_ == nullptr) return;
  for (Matrix* matrix : {&ep_, &ea_, &edz_, &w_, &share_.ds.error}) matrix->row(r).setZero();
  sink_ep_[r] = 0;
}

/// The scores of row r with bias and softcap, and the softcap's slope.
HeadBackwardBase::Row HeadBackwardBase::scores(const BackwardBlock& block, Eigen::Index r) {
  const bool biased = block.bias.size() > 0;
  Row s = s_.row(r).array() * problem_.scale_value();
  if (biased && problem_.bias_order == BiasOrder::before_softcap) s += block.bias.row(r).array();
  if (const double cap = problem_.softcap; cap > 0) {
    for (Eigen::Index j = 0; j < s.size(); ++j) {
      const double t = std::tanh(s[j] / cap);
      s[j] = cap * t;
      slope_(r, j) = 1 - t * t;
    }
  }
  if (biased && problem_.bias_order == BiasOrder::after_softcap) s += block.bias.row(r).array();
  return s;
}

/// Whether all is finite that row r sees or is made of.
bool HeadBackwardBase::is_finite(const BackwardKeys& keys, const BackwardBlock& block,
                                 Eigen::Index r, const Row& s) const {
  const uint8_t* visible = block.visible.data() + r * s.size();
  for (Eigen::Index j = 0; j < s.size(); ++j)
    if (visible[j] != 0 && (keys.finite[static_cast<size_t>(j)] == 0 || !std::isfinite(s[j])))
      return false;
  return block.q.row(r).allFinite() && block.grad_out.row(r).allFinite();
}

}  // namespace attnfuzz
