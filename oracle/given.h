// Tensors of a real call in the place of generated ones. They are looked up by the coordinates by
// which the generator would make an element; an element that they do not have is generated. So each
// case stays a case when its sizes change: a smaller one reads the first elements, a larger one has
// generated numbers behind them.
#pragma once
#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "oracle/inputs.h"

namespace attnfuzz {

/// b, h, s, d of element(): batch row, head, token (or query), element (or key).
using Place = std::array<int64_t, 4>;

struct Given {
  /// By tensor_number(), each with its four axes in the order of Place, whatever the case's layout.
  std::map<uint32_t, Tensor> tensors;
  bool operator==(const Given&) const = default;
};

/// A tensor that a case with given tensors must have, as it lies in a file. "mask" and "bias" are
/// those of the rules "boolean" and "bias" alone; an axis that the rule's shape lacks has size 1.
struct GivenSpec {
  std::string name;
  Role role;
  int step = 0;
  bool boolean = false;  ///< its elements are 0 and 1
  DType dtype;
  Shape shape;
};
std::vector<GivenSpec> given_specs(const Case& c);
/// Its sizes in the order of Place.
Shape place_sizes(const GivenSpec& spec, Layout layout);

/// Puts the given elements at `first`, first + {0, 0, 0, 1} … into the row, and leaves the others.
/// Of the mask and dropout a 1 is less than any percentage but 0, a 0 more than all.
void take_given(const Data& data, Role role, int step, const Place& first, std::span<double> row);

/// The tensors of a case in the order of given_specs(): given ones as far as they reach.
std::vector<Tensor> given_tensors(const Case& c);

/// Data of these tensors, which fit the specs; `nonfinite` by what they hold. Throws
/// InputError(where, path + "/name", …) for a number that can not stand there: a bias of +inf or
/// NaN, a gate above 0, a scale that is not above 0.
Data given_data(const Case& c, const std::vector<Tensor>& tensors, const std::string& where,
                const std::string& path);

/// The same case with generated tensors.
Case with_generated_data(Case c);

}  // namespace attnfuzz
