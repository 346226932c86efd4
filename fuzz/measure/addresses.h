#pragma once
#include <array>
#include <string>
#include <vector>

#include "fuzz/measure/statement.h"
#include "fuzz/measure/weights.h"

namespace attnfuzz::measure {

/// From which elements of a boolean mask or a bias tensor a target takes what
/// it uses for each row, head, query and key: its address as a sum of strides,
/// the same in all cases.
class AddressFacts {
 public:
  /// Measures a case without a cache that has the rule "boolean" or "bias".
  void measure(Target& target, const Case& c, Budget& budget);
  std::vector<Statement> statements() const;

 private:
  /// What was seen to be used, and the tensor that it should come from.
  struct Seen {
    int64_t batch, heads, q_len, kv_len;
    int64_t tensor_batch, tensor_heads;  ///< 1: shared
    bool is_bias;
    std::vector<double> used;        ///< [batch, heads, q_len, kv_len]; NaN: not seen
    std::vector<double> transposed;  ///< the tensor with q_len and kv_len swapped, as it would lie
    std::vector<double> tensor;      ///< [tensor_batch, tensor_heads, q_len, kv_len]
    bool wrong;
  };
  struct Stride {
    const char* words;
    int64_t (*of)(const Seen&);
  };
  static const std::vector<Stride>& strides();
  using Strides = std::array<const Stride*, 4>;  ///< of b, h, i and j
  static Strides right_strides(const Seen& seen);
  static std::string address_words(const Strides& by);
  /// How a tensor is read: its own elements or those of a transposed copy; what lies behind its
  /// end.
  struct Reading {
    bool transposed = false;
    double beyond = 0;
  };
  static bool fits(const Seen& seen, const Strides& by, const Reading& reading);
  static std::string words_of(const Seen& wrong, const Strides& by, const Reading& reading);
  void add(Target& target, const Case& c, Budget& budget);

  std::vector<Seen> seen_;
};

}  // namespace attnfuzz::measure
