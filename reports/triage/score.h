#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

/// How good a reading is: a sum of terms, each with a weight that was fitted to texts whose right
/// axes are known (tools/bench/triage_fit.py).
namespace attnfuzz::triage {

enum class Term : uint8_t {
  scene,      ///< how often code combines these tensors so
  form,       ///< the message's phrases speak for the operation
  code,       ///< the lines of code name the tensors
  words,      ///< other words name them
  label,      ///< the words right before a shape name its tensor
  number,     ///< the words beside a number name its axis
  layout,     ///< how common the tensors' layouts are
  size,       ///< how common a size is on its axis
  one,        ///< a size of 1, or none
  conflict,   ///< an axis has two sizes
  misplaced,  ///< an axis has the size of another
  lie,        ///< how the axes of two shapes lie on each other
  word,       ///< the words of a view or a pattern name the axes
  order,      ///< which tensor comes first, which axis
  dim,        ///< the dimension that the text names
  near,       ///< two sizes of one axis are multiples, or close
  count
};
std::string_view name_of(Term term);
using Weights = std::array<double, static_cast<size_t>(Term::count)>;

/// How far the chance of a reading is to be believed: it is a share among the readings that were
/// thought of, and the right one may not be among them. The logistic function of this sum, with
/// what words and code said for the reading ("support") and the share of its sizes that the text
/// itself names ("grounded"), is how often such readings were right.
struct Trust {
  double base, log_odds, support, grounded;

  double of(double chance, double said, double named) const {
    constexpr double least = .001, most = .9995;
    const double share = std::clamp(chance, least, most);
    const double sum =
        base + log_odds * std::log(share / (1 - share)) + support * said + grounded * named;
    return 1 / (1 + std::exp(-sum));
  }
};

/// The fitted weights, what makes a chance believed, and from which trust a reading is called sure:
/// weights.cpp, written by tools/bench/triage_fit.py.
const Weights& fitted_weights();
const Trust& fitted_trust();
double sure_from();

/// A logarithm of a probability, up to a constant.
class Score {
 public:
  explicit Score(const Weights& weights) : weights_(&weights) {}

  void add(Term term, double amount) {
    terms_[static_cast<size_t>(term)] += amount;
    total_ += (*weights_)[static_cast<size_t>(term)] * amount;
  }
  void add(const Score& other) {
    for (size_t k = 0; k < terms_.size(); ++k) terms_[k] += other.terms_[k];
    total_ += other.total_;
  }
  /// Of either of two: the probabilities are added, the terms are their mean.
  void merge(const Score& other) {
    const double most = std::max(total_, other.total_);
    const double sum = most + std::log(std::exp(total_ - most) + std::exp(other.total_ - most));
    const double mine = std::exp(total_ - sum), its = std::exp(other.total_ - sum);
    for (size_t k = 0; k < terms_.size(); ++k) terms_[k] = mine * terms_[k] + its * other.terms_[k];
    total_ = sum;
  }
  double total() const { return total_; }
  const Weights& terms() const { return terms_; }

 private:
  const Weights* weights_;
  Weights terms_{};
  double total_ = 0;
};

}  // namespace attnfuzz::triage
