#include "oracle/linear/head.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace attnfuzz {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr int64_t largest_chunk = 256;  // over which a target may sum up gates

double norm1(const double* x, int64_t size) {
  double sum = 0;
  for (int64_t d = 0; d < size; ++d) sum += std::abs(x[d]);
  return sum;
}

int64_t gates_of(const Problem& p, Gate gate) {
  return gate == Gate::none ? 0 : gate == Gate::key ? p.head_dim : 1;
}

}  // namespace

RecurrentHead::RecurrentHead(const Problem& problem, const Precision* precision)
    : p_(problem),
      traits_(traits(problem.kind)),
      dim_(problem.head_dim),
      dim_v_(problem.head_dim_v),
      gates_(gates_of(problem, traits_.gate)) {
  if (precision == nullptr) return;
  const ErrorModel model(problem, *precision);
  errors_ = {model, growth(model.u_p, 4) + growth(model.u_scores, 3),
             std::min(model.max_accumulated, info(precision->p).max_finite)};
}

void RecurrentHead::clear() {
  size_ = 0;
  k_norm_ = state_ = largest_ = 0;
  for (std::vector<double>* each : {&k_, &u_, &gate_, &beta_, &sums_, &u_error_}) each->clear();
  begin_.clear();
}

void RecurrentHead::add(const StateToken& token) {
  const int64_t t = size_++;
  begin_.push_back(t == 0 || token.begins ? t : begin_.back());
  k_.insert(k_.end(), token.k.begin(), token.k.end());
  u_.insert(u_.end(), token.v.begin(), token.v.end());
  gate_.insert(gate_.end(), token.gate.begin(), token.gate.end());
  beta_.push_back(token.beta);
  if (!errors_) return;
  for (int64_t d = 0; d < gates_; ++d) {
    const double before = t == 0 ? 0 : sums_[static_cast<size_t>((t - 1) * gates_ + d)];
    sums_.push_back(before + std::abs(gate(t)[d]));
  }
  k_norm_ = std::max(k_norm_, norm1(k(t), dim_));
}

/// Bounds the relative error of the product of the decays behind s, up to t, less one.
double RecurrentHead::gate_error(int64_t t, int64_t s, int64_t d) const {
  const ErrorModel& model = errors_->model;
  const int64_t first = std::max(begin_[static_cast<size_t>(t)], s - largest_chunk);
  const auto at = [&](int64_t j) { return sums_[static_cast<size_t>(j * gates_ + d)]; };
  const double sum = at(t) - at(first) + std::abs(gate(first)[d]);
  const auto lag = static_cast<double>(t - s);
  constexpr double of_tree = 24;  // two trees of largest_chunk leaves, and room
  return exponential_growth(lag * (model.exp + 2 * model.u) + model.u * sum * (lag + of_tree));
}

/// Bounds the relative error of each term of a sum over the tokens up to t, decays aside.
double RecurrentHead::term_error(int64_t t) const {
  const auto tokens = static_cast<double>(t - begin_[static_cast<size_t>(t)] + 1);
  return growth(errors_->model.u, static_cast<double>(dim_) + 3 * tokens + 16) + errors_->narrow;
}

void RecurrentHead::weigh_by_head(int64_t t, const double* q) {
  const int64_t begin = begin_[static_cast<size_t>(t)];
  const double of_terms = errors_ ? term_error(t) : 0;
  double decay = 1;
  for (int64_t s = t; s >= begin; --s) {
    double dot = 0, abs_dot = 0;
    for (int64_t d = 0; d < dim_; ++d) dot += q[d] * k(s)[d];
    a_[static_cast<size_t>(s)] = dot * decay;
    if (errors_) {
      for (int64_t d = 0; d < dim_; ++d) abs_dot += std::abs(q[d] * k(s)[d]);
      const double of_gates = gates_ > 0 ? gate_error(t, s, 0) : 0;
      abs_[static_cast<size_t>(s)] = abs_dot * decay;
      error_[static_cast<size_t>(s)] = abs_dot * decay * (of_terms + of_gates * (1 + of_terms));
    }
    if (gates_ > 0) decay *= std::exp(gate(s)[0]);
  }
}

void RecurrentHead::weigh_by_key(int64_t t, const double* q) {
  const int64_t begin = begin_[static_cast<size_t>(t)];
  const double of_terms = errors_ ? term_error(t) : 0;
  std::vector<double> decayed(q, q + dim_);
  for (int64_t s = t; s >= begin; --s) {
    double sum = 0, abs_sum = 0, error = 0;
    for (int64_t d = 0; d < dim_; ++d) {
      const double term = decayed[static_cast<size_t>(d)] * k(s)[d];
      sum += term;
      if (!errors_) continue;
      abs_sum += std::abs(term);
      error += std::abs(term) * gate_error(t, s, d);
    }
    a_[static_cast<size_t>(s)] = sum;
    if (errors_) {
      abs_[static_cast<size_t>(s)] = abs_sum;
      error_[static_cast<size_t>(s)] = abs_sum * of_terms + error * (1 + of_terms);
    }
    for (int64_t d = 0; d < dim_; ++d) decayed[static_cast<size_t>(d)] *= std::exp(gate(s)[d]);
  }
}

/// a_ts and its error for s = begin … t.
void RecurrentHead::weigh(int64_t t, const double* q) {
  const auto size = static_cast<size_t>(size_);
  a_.assign(size, 0);
  if (errors_) abs_.assign(size, 0);
  if (errors_) error_.assign(size, 0);
  traits_.gate == Gate::key ? weigh_by_key(t, q) : weigh_by_head(t, q);
}

/// u_t, from those before; and row t of what bound_inputs() needs.
void RecurrentHead::substitute(int64_t t) {
  weigh(t, k(t));
  const double beta = beta_[static_cast<size_t>(t)];
  const int64_t begin = begin_[static_cast<size_t>(t)];
  double* u = u_.data() + t * dim_v_;
  for (int64_t e = 0; e < dim_v_; ++e) u[e] *= beta;
  for (int64_t s = begin; s < t; ++s) {
    const double l = beta * a_[static_cast<size_t>(s)];
    for (int64_t e = 0; e < dim_v_; ++e) u[e] -= l * u_[static_cast<size_t>(s * dim_v_ + e)];
  }
  if (!errors_) return;
  double* inverse = inverse_.data() + t * size_;
  inverse[t] = 1;
  for (int64_t s = begin; s < t; ++s) {
    const double l = beta * a_[static_cast<size_t>(s)];
    for (int64_t r = begin; r <= s; ++r)
      inverse[r] -= l * inverse_[static_cast<size_t>(s * size_ + r)];
    l_abs_[static_cast<size_t>(t * size_ + s)] = std::abs(beta) * abs_[static_cast<size_t>(s)];
    l_error_[static_cast<size_t>(t * size_ + s)] = std::abs(beta) * error_[static_cast<size_t>(s)];
  }
}

/// Bounds the error of each u: |T| (E|u| + γ|βv| + (E + γ)|T|(|βv| + |L||u|)) with T = (I + L)⁻¹.
void RecurrentHead::bound_inputs() {
  const auto count = static_cast<size_t>(size_ * dim_v_);
  std::vector<double> first(count), y(count), solved(count);
  // to = |matrix| · from, added; rows of tokens, columns of dim_v.
  const auto add_product = [&](const std::vector<double>& matrix, const std::vector<double>& from,
                               std::vector<double>& to) {
    for (int64_t t = 0; t < size_; ++t)
      for (int64_t s = begin_[static_cast<size_t>(t)]; s <= t; ++s) {
        const double x = std::abs(matrix[static_cast<size_t>(t * size_ + s)]);
        for (int64_t e = 0; e < dim_v_; ++e)
          to[static_cast<size_t>(t * dim_v_ + e)] +=
              x * std::abs(from[static_cast<size_t>(s * dim_v_ + e)]);
      }
  };
  for (int64_t t = 0; t < size_; ++t)
    for (int64_t e = 0; e < dim_v_; ++e) {
      const auto at = static_cast<size_t>(t * dim_v_ + e);
      y[at] = std::abs(beta_[static_cast<size_t>(t)] * v_[at]);
      first[at] = y[at] * term_error(t) + smallest(t, k_norm_);
    }
  add_product(l_abs_, u_, y);
  add_product(l_error_, u_, first);
  add_product(inverse_, y, solved);
  add_product(l_error_, solved, first);
  for (int64_t t = 0; t < size_; ++t)
    for (int64_t e = 0; e < dim_v_; ++e) {
      const auto at = static_cast<size_t>(t * dim_v_ + e);
      first[at] += solved[at] * term_error(t);
    }
  u_error_.assign(count, 0);
  add_product(inverse_, first, u_error_);
}

/// The most that underflows in the products of a sum up to t can cost.
double RecurrentHead::smallest(int64_t t, double q_norm) const {
  const auto tokens = static_cast<double>(t - begin_[static_cast<size_t>(t)] + 1);
  const double scale = errors_->model.scale;
  return (errors_->model.tiny + errors_->model.tiny_p + errors_->model.tiny_inputs) * tokens *
         static_cast<double>(dim_ + 4) * (scale * q_norm + 1) * (k_norm_ + 1) * (largest_ + 1);
}

void RecurrentHead::solve() {
  v_ = u_;
  if (traits_.beta) {
    if (errors_)
      for (std::vector<double>* each : {&l_abs_, &l_error_, &inverse_})
        each->assign(static_cast<size_t>(size_ * size_), 0);
    for (int64_t t = 0; t < size_; ++t) substitute(t);
  }
  if (!errors_) return;
  for (int64_t t = 0; t < size_; ++t) {
    double of_k = 0, of_u = 0;
    for (int64_t d = 0; d < dim_; ++d) of_k = std::max(of_k, std::abs(k(t)[d]));
    for (int64_t e = 0; e < dim_v_; ++e) {
      const auto at = static_cast<size_t>(t * dim_v_ + e);
      of_u = std::max({of_u, std::abs(u_[at]), std::abs(v_[at])});
    }
    state_ += of_k * of_u;
    largest_ = std::max(largest_, of_u);
  }
  if (traits_.beta) bound_inputs();
}

void RecurrentHead::read(int64_t t, std::span<const double> q, double* out, double* bound) {
  if (t < 0) {
    std::fill_n(out, dim_v_, 0.0);
    if (bound != nullptr) std::fill_n(bound, dim_v_, 0.0);
    return;
  }
  const double scale = p_.scale_value();
  std::vector<double> scaled(q.begin(), q.end());
  for (double& x : scaled) x *= scale;
  weigh(t, scaled.data());
  const int64_t begin = begin_[static_cast<size_t>(t)];
  std::fill_n(out, dim_v_, 0.0);
  for (int64_t s = begin; s <= t; ++s)
    for (int64_t e = 0; e < dim_v_; ++e)
      out[e] += a_[static_cast<size_t>(s)] * u_[static_cast<size_t>(s * dim_v_ + e)];
  if (bound == nullptr) return;
  const ErrorModel& model = errors_->model;
  const double q_norm = norm1(q.data(), dim_);
  const double tiny = smallest(t, q_norm);
  // Intermediates: the state, scores, and their products before the scale.
  const double largest =
      2 * (state_ + k_norm_ * (largest_ + 1)) * std::max(1.0, model.scale * q_norm);
  for (int64_t e = 0; e < dim_v_; ++e) {
    double error = tiny;
    for (int64_t s = begin; s <= t; ++s) {
      const auto at = static_cast<size_t>(s);
      const auto from = static_cast<size_t>(s * dim_v_ + e);
      error += error_[at] * std::abs(u_[from]);
      if (traits_.beta) error += (abs_[at] + error_[at]) * u_error_[from];
    }
    error += model.u_out * (std::abs(out[e]) + error) + model.tiny_out;
    error *= 1 + 1e-6;
    const bool holds =
        largest <= errors_->limit && std::abs(out[e]) + error <= model.max_out;  // false for NaN
    bound[e] = holds ? error : inf;
  }
}

}  // namespace attnfuzz
