#include "oracle/backward_head.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "oracle/misreading.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

double scale_of(const Problem& problem, Slip not_scaled, Slip scaled_twice) {
  if (has_slip(problem, not_scaled)) return 1;
  const double scale = problem.scale_value();
  return has_slip(problem, scaled_twice) ? scale * scale : scale;
}

}  // namespace

const BackwardShare& HeadBackward::run(const BackwardKeys& keys, const BackwardBlock& block) {
  set_block(keys, block);
  for (Eigen::Index r = 0; r < s_.rows(); ++r) weigh(keys, block, r);
  o_.noalias() = a_ * keys.v;
  if (model_ != nullptr) wo_.noalias() = w_ * abs_v_;
  for (Eigen::Index r = 0; r < s_.rows(); ++r) differentiate(block, r);
  collect(keys, block);
  return share_;
}

/// The products of queries and keys, and room for all that is made of them.
void HeadBackward::set_block(const BackwardKeys& keys, const BackwardBlock& block) {
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
void HeadBackward::leave_out(Eigen::Index r) {
  share_.unchecked[static_cast<size_t>(r)] = 1;
  for (Matrix* matrix : {&p_, &a_, &dz_, &share_.ds.value}) matrix->row(r).setZero();
  sink_p_[r] = 0;
  if (model_ == nullptr) return;
  for (Matrix* matrix : {&ep_, &ea_, &edz_, &w_, &share_.ds.error}) matrix->row(r).setZero();
  sink_ep_[r] = 0;
}

/// Row r of P, from its dot products.
void HeadBackward::weigh(const BackwardKeys& keys, const BackwardBlock& block, Eigen::Index r) {
  const Eigen::Index count = s_.cols();
  const uint8_t* visible = block.visible.data() + r * count;
  const bool any = std::find(visible, visible + count, 1) != visible + count;
  if (!any && block.sink == -inf && problem_.fully_masked != FullyMasked::zero) leave_out(r);
  if (!any) {
    sink_p_[r] = block.sink > -inf ? 1 : 0;
    return;
  }
  const bool biased = block.bias.size() > 0;
  Row s = s_.row(r).array() * problem_.scale_value();
  if (biased && problem_.bias_order == BiasOrder::before_softcap) s += block.bias.row(r).array();
  if (const double cap = problem_.softcap; cap > 0) {
    for (Eigen::Index j = 0; j < count; ++j) {
      const double t = std::tanh(s[j] / cap);
      s[j] = cap * t;
      slope_(r, j) = 1 - t * t;
    }
  }
  if (biased && problem_.bias_order == BiasOrder::after_softcap) s += block.bias.row(r).array();
  double max = block.sink;
  bool finite = true;
  for (Eigen::Index j = 0; j < count; ++j) {
    if (visible[j] == 0) continue;
    finite = finite && keys.finite[static_cast<size_t>(j)] != 0 && std::isfinite(s[j]);
    max = std::max(max, s[j]);
  }
  if (!finite || !block.q.row(r).allFinite() || !block.grad_out.row(r).allFinite()) {
    leave_out(r);
    return;
  }
  Row p = (s - max).exp();
  double sum = 0, sink = std::exp(block.sink - max);
  for (Eigen::Index j = 0; j < count; ++j) sum += visible[j] != 0 ? p[j] : 0;
  if (!has_slip(problem_, Slip::backward_without_sink)) sum += sink;
  if (has_slip(problem_, Slip::backward_not_normalised)) sum = 1;
  if (has_slip(problem_, Slip::backward_base_2)) {
    const double lse = max + std::log(sum);
    p = ((s - lse) * std::numbers::ln2).exp();
    sink = std::exp2(block.sink - lse);
    sum = 1;
  }
  const uint8_t* shown = block.shown.empty() ? visible : block.shown.data() + r * count;
  for (Eigen::Index j = 0; j < count; ++j) p[j] = shown[j] != 0 ? p[j] : 0;
  p_.row(r) = p / sum;
  sink_p_[r] = sink / sum;
  if (model_ != nullptr) bound_weights(block, r, s, p, max, sum);
  a_.row(r) = p_.row(r);
  if (block.kept.size() == 0 || has_slip(problem_, Slip::backward_not_dropped)) return;
  a_.row(r).array() *= block.kept.row(r).array();
  if (model_ == nullptr) return;
  ea_.row(r).array() *= block.kept.row(r).array();
  w_.row(r).array() *= block.kept.row(r).array();
}

/// dP, D and dS of row r, and what the scaled products and the sink get.
void HeadBackward::differentiate(const BackwardBlock& block, Eigen::Index r) {
  if (share_.unchecked[static_cast<size_t>(r)] != 0) return;
  const bool dropped = block.kept.size() > 0 && !has_slip(problem_, Slip::backward_not_dropped);
  double dot = has_slip(problem_, Slip::row_dot_not_dropped)
                   ? (p_.row(r).array() * dp_.row(r).array()).sum()
                   : 0;
  if (dropped) dp_.row(r).array() *= block.kept.row(r).array();
  if (!has_slip(problem_, Slip::no_row_dot) && !has_slip(problem_, Slip::row_dot_not_dropped))
    dot = (p_.row(r).array() * dp_.row(r).array()).sum();
  if (has_slip(problem_, Slip::no_softcap_slope)) slope_.row(r).setOnes();
  if (has_slip(problem_, Slip::slope_not_divided))
    slope_.row(r) = 1 - problem_.softcap * problem_.softcap * (1 - slope_.row(r).array());
  Row ds = p_.row(r).array() * (dp_.row(r).array() - dot);
  if (has_slip(problem_, Slip::dropped_in_softmax)) ds -= (a_ - p_).row(r).array() * dot;
  dz_.row(r) = ds * slope_.row(r).array();
  const bool outside = (problem_.bias_order == BiasOrder::after_softcap) !=
                       (has_slip(problem_, Slip::dbias_other_order));
  share_.ds.value.row(r) = outside ? ds : Row(dz_.row(r));
  if (has_slip(problem_, Slip::dbias_scaled)) share_.ds.value.row(r) *= problem_.scale_value();
  if (model_ != nullptr) bound_differences(block, r, dot);
  const double dsink = sink_p_[r] * (has_slip(problem_, Slip::dsinks_negated) ? -dot : dot);
  if (share_.unchecked[static_cast<size_t>(r)] == 0) share_.dsink -= dsink;
}

void HeadBackward::collect(const BackwardKeys& keys, const BackwardBlock& block) {
  const double dq_scale = scale_of(problem_, Slip::dq_not_scaled, Slip::dq_scaled_twice);
  const double dk_scale = scale_of(problem_, Slip::dk_not_scaled, Slip::dk_scaled_twice);
  share_.dq.value.noalias() = dq_scale * (dz_ * keys.k);
  if (const Eigen::Index rest = keys.v.cols() - keys.k.cols();
      has_slip(problem_, Slip::dq_of_head_dim) && rest > 0) {
    const Matrix dp = block.grad_out.rightCols(rest) * keys.v.rightCols(rest).transpose();
    share_.dq.value -= dq_scale * dp.cwiseProduct(a_).cwiseProduct(slope_) * keys.k;
  }
  share_.dk.value.noalias() = dk_scale * (dz_.transpose() * block.q);
  const bool dropped = !has_slip(problem_, Slip::dv_not_dropped);
  share_.dv.value.noalias() = (dropped ? a_ : p_).transpose() * block.grad_out;
  if (model_ != nullptr) bound_sums();
}

}  // namespace attnfuzz
