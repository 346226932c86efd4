// The bounds of the backward pass: oracle/bounds.md, "Gradients".
#include <cmath>

#include "oracle/backward_head.h"

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

/// The keys of row r that have a part in a gradient: where P is made by another mask, those of
/// both.
std::vector<uint8_t> visible_or_shown(const BackwardBlock& block, Eigen::Index r,
                                      Eigen::Index count) {
  std::vector<uint8_t> both(block.visible.begin() + r * count,
                            block.visible.begin() + (r + 1) * count);
  for (Eigen::Index j = 0; !block.shown.empty() && j < count; ++j)
    both[static_cast<size_t>(j)] |= block.shown[static_cast<size_t>(r * count + j)];
  return both;
}

/// What a sum of products costs, relative to the sum of its terms' sizes.
double summed(const ErrorModel& m, double roundings) {
  const double sum = growth(m.u, roundings);
  return sum + growth(m.u_factor, 2) * (1 + sum);
}

}  // namespace

/// What a sum of products with the scale costs, relative to the sum of its terms' sizes.
double HeadBackward::summing(double terms) const {
  return (1 + growth(model_->u, terms + 12)) * (1 + growth(model_->u_scores, 3)) *
             (1 + growth(model_->u_factor, 2)) -
         1;
}

/// From the forward pass's w: ep, ea, the sink's, and of the softcap's slope.
void HeadBackward::bound_weights(const BackwardBlock& block, Eigen::Index r, const Row& s,
                                 const Row& p, double max, double sum) {
  const ErrorModel& m = *model_;
  const Eigen::Index count = s.size();
  const std::vector<uint8_t> visible = visible_or_shown(block, r, count);
  const Row bias = block.bias.size() > 0 ? Row(block.bias.row(r)) : Row();
  const Row abs_dot = abs_s_.row(r);
  const double q_norm = abs_q_.row(r).sum();
  Row w(count);
  RowError& error = errors_[static_cast<size_t>(r)];
  error = row_error(
      m,
      {count, visible.data(), s.data(), abs_dot.data(), nullptr,
       bias.size() > 0 ? bias.data() : nullptr, p.data(), max, sum, block.sink, q_norm, k_norm_, 0},
      w.data());
  if (error.unchecked) {
    leave_out(r);
    return;
  }
  w_.row(r) = w / sum;
  const double e = error.weights, most = (1 + error.hull) / m.dropout;  // that P can become
  const auto of_weight = [&](double relative_w, double weight) {
    return e < 0.5 ? std::min((relative_w + weight * e) / (1 - e), most) : most;
  };
  for (Eigen::Index j = 0; j < count; ++j)
    if (visible[static_cast<size_t>(j)] != 0) ep_(r, j) = of_weight(w_(r, j), p_(r, j));
  if (block.sink > -inf) sink_ep_[r] = of_weight(error.sink, sink_p_[r]);
  ea_.row(r) = ep_.row(r);
  if (problem_.softcap == 0) return;

  const double tiny =
      m.scale * (static_cast<double>(m.head_dim + 2) * m.tiny + m.tiny_inputs * (q_norm + k_norm_));
  const bool bias_inside = bias.size() > 0 && problem_.bias_order == BiasOrder::before_softcap;
  for (Eigen::Index j = 0; j < count; ++j) {
    double argument = m.dot * abs_dot[j] + tiny;
    if (bias_inside)
      argument += m.of_bias(bias[j]) +
                  3 * (m.u + m.u_scores) *
                      (std::abs(problem_.scale_value()) * abs_dot[j] + std::abs(bias[j]));
    const double et =
        std::min(2.0, argument / problem_.softcap + m.softcap / problem_.softcap + m.u_scores);
    const double t = std::sqrt(1 - slope_(r, j));
    eslope_(r, j) = 2 * t * et + et * et + 4 * (m.u + m.u_scores);
  }
}

/// D may be Σ P dP, or grad_out · out from the rounded output: the worse of the two.
double HeadBackward::dot_error(const BackwardBlock& block, Eigen::Index r, const Row& edp,
                               double dot) const {
  const ErrorModel& m = *model_;
  const RowError& error = errors_[static_cast<size_t>(r)];
  const Row p = p_.row(r), ep = ep_.row(r), dp = dp_.row(r).array().abs();
  const double products = (ep * dp + (p + ep) * edp).sum() +
                          summed(m, error.keys + 12) * ((p + ep) * (dp + edp)).sum() +
                          error.keys * m.tiny;
  const Row out = o_.row(r), weighted = wo_.row(r), g = block.grad_out.row(r).array().abs();
  Row bound(out.size());
  element_bounds(m, error, out.size(), out.data(), weighted.data(), largest_v_.data(),
                 bound.data());
  const double from_out =
      (g * bound).sum() +
      summed(m, static_cast<double>(out.size()) + 4) * (g * (out.abs() + bound)).sum() +
      static_cast<double>(out.size() + 2) * m.tiny + m.tiny * g.sum();
  const double worse = std::max(products, from_out);
  return worse + m.u_scores * (std::abs(dot) + worse);
}

void HeadBackward::bound_differences(const BackwardBlock& block, Eigen::Index r, double dot) {
  const ErrorModel& m = *model_;
  const Eigen::Index count = s_.cols();
  const double dims = static_cast<double>(block.grad_out.cols());
  const double relative = (1 + growth(m.u, dims + 11)) * (1 + growth(m.u_scores, 3)) * (1 + m.u_p) *
                              (1 + growth(m.u_factor, 2)) -
                          1;
  const double tiny = (dims + 2) * m.tiny + m.tiny_inputs * (abs_g_.row(r).sum() + v_norm_);
  Row edp = relative * abs_dp_.row(r).array() + tiny;
  if (block.kept.size() > 0) edp *= block.kept.row(r).array();
  const double edot = dot_error(block, r, edp, dot);
  const Row p = p_.row(r), ep = ep_.row(r), dp = dp_.row(r);
  const Row sizes = (p + ep) * (dp.abs() + std::abs(dot) + edp + edot);
  Row eds =
      ep * ((dp - dot).abs() + edp + edot) + p * (edp + edot) + 3 * (m.u + m.u_scores) * sizes;
  const Row ds = (p * (dp - dot)).abs();
  const std::vector<uint8_t> both = visible_or_shown(block, r, count);
  const uint8_t* visible = both.data();
  for (Eigen::Index j = 0; j < count; ++j)
    eds[j] = visible[j] != 0 ? eds[j] + m.u_p * (ds[j] + eds[j]) + 4 * m.tiny + m.tiny_p : 0;
  Row edz = eds;
  if (problem_.softcap > 0) {
    const Row slope = slope_.row(r), eslope = eslope_.row(r);
    edz = slope.abs() * eds + (ds + eds) * eslope + (2 * m.u + m.u_scores + m.u_p) * (ds + eds);
    for (Eigen::Index j = 0; j < count; ++j) edz[j] = visible[j] != 0 ? edz[j] + m.tiny_p : 0;
  }
  edz_.row(r) = edz;
  share_.ds.error.row(r) = problem_.bias_order == BiasOrder::after_softcap ? eds : edz;

  const double of_sink = sink_ep_[r] * (std::abs(dot) + edot) + sink_p_[r] * edot;
  const double dsink = std::abs(sink_p_[r] * dot) + of_sink;
  share_.dsink_error += of_sink + (3 * m.u + m.u_scores + m.u_p + growth(m.u, sums_ + 4)) * dsink +
                        (sink_p_[r] > 0 ? 2 * m.tiny + m.tiny_p : 0);

  const double largest_dp = count > 0 ? abs_dp_.row(r).maxCoeff() * m.dropout : 0;
  const double largest_ds = count > 0 ? (ds + eds).maxCoeff() : 0;
  const bool overflows =
      !(2 * largest_dp <= m.max_score) || !(largest_ds <= m.max_p) || !std::isfinite(edot);
  if (!overflows) return;
  leave_out(r);
}

void HeadBackward::bound_queries() {
  const ErrorModel& m = *model_;
  const Matrix sizes = dz_.cwiseAbs() + edz_;
  Matrix costs = edz_;
  for (Eigen::Index r = 0; r < sizes.rows(); ++r)
    costs.row(r) += summing(errors_[static_cast<size_t>(r)].keys) * sizes.row(r);
  share_.dq.error.noalias() = std::abs(problem_.scale_value()) * (costs * abs_k_);
  for (Eigen::Index r = 0; r < sizes.rows(); ++r) {
    const double keys = errors_[static_cast<size_t>(r)].keys;
    share_.dq.error.row(r).array() +=
        m.scale * ((keys + 2) * m.tiny + m.tiny_inputs * sizes.row(r).sum());
  }
}

void HeadBackward::bound_keys(const Matrix& dz, const Matrix& edz, const Matrix& a,
                              const Matrix& ea) {
  const ErrorModel& m = *model_;
  const Matrix sizes = dz.cwiseAbs() + edz, weights = a + ea;
  const double of_sum = summing(sums_), of_terms = static_cast<double>(sizes.rows() + 2) * m.tiny;
  Matrix costs = edz + of_sum * sizes;
  share_.dk.error.noalias() = std::abs(problem_.scale_value()) * (costs.transpose() * abs_q_);
  costs = ea + of_sum * weights;
  share_.dv.error.noalias() = costs.transpose() * abs_g_;
  for (Eigen::Index j = 0; j < sizes.cols(); ++j) {
    share_.dk.error.row(j).array() += m.scale * (of_terms + m.tiny_inputs * sizes.col(j).sum());
    share_.dv.error.row(j).array() += of_terms + m.tiny_inputs * weights.col(j).sum();
  }
}

}  // namespace attnfuzz
