#include "targets/cpu/rotary.h"

#include <cmath>
#include <span>

#include "oracle/rope.h"
#include "targets/cpu/query_rows.h"

namespace attnfuzz {
namespace {

/// `positions`: of each token.
Tensor turned(const Problem& p, const Tensor& from, std::span<const int64_t> positions) {
  Tensor to = from;
  Rotary rotary(p);
  with_element_type(p.dtype, [&]<class T>(std::type_identity<T>) {
    const auto view = view_in(p.layout, to.shape, to.as<T>());
    const bool heads_first = p.layout == Layout::bhsd;
    const int64_t heads = to.shape[heads_first ? 1 : 2], len = to.shape[heads_first ? 2 : 1];
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t s = 0; s < len; ++s)
          rotary.turn(view.at(b, h, s), positions[static_cast<size_t>(s)], view.at(b, h, s));
  });
  return to;
}

}  // namespace

Rotary::Rotary(const Problem& problem)
    : rope_(problem.rope),
      magnitude_(problem.rope_scaling.magnitude),
      dim_(static_cast<size_t>(problem.head_dim)),
      begin_(static_cast<size_t>(problem.turned_begin())),
      half_(static_cast<size_t>(problem.turned_dim()) / 2) {
  for (size_t n = 0; n < half_; ++n)
    frequencies_.push_back(rope_frequency(problem, static_cast<int64_t>(n)));
}

auto Rotary::turns_at(int64_t position) -> const Turn* {
  const auto turn = [&](int64_t at, size_t n) {
    const double angle = static_cast<double>(at) * frequencies_[n];
    return Turn{magnitude_ * std::cos(angle), magnitude_ * std::sin(angle)};
  };
  constexpr int64_t most_in_table = int64_t{1} << 16;
  if (position < 0 || position >= most_in_table) {
    other_.clear();
    for (size_t n = 0; n < half_; ++n) other_.push_back(turn(position, n));
    return other_.data();
  }
  const size_t at = static_cast<size_t>(position) * half_;
  while (table_.size() <= at)
    for (size_t n = 0, next = table_.size() / half_; n < half_; ++n)
      table_.push_back(turn(static_cast<int64_t>(next), n));
  return table_.data() + at;
}

Inputs turned_inputs(const Case& c, const Inputs& inputs) {
  const Problem& p = c.problem;
  std::vector<int64_t> of_queries(static_cast<size_t>(p.q_len)),
      of_keys(static_cast<size_t>(p.kv_len));
  for (size_t i = 0; i < of_queries.size(); ++i)
    of_queries[i] = p.rope_position(query_position(p, static_cast<int64_t>(i)));
  for (size_t j = 0; j < of_keys.size(); ++j) of_keys[j] = p.rope_position(static_cast<int64_t>(j));
  Inputs all;
  for (const auto& [name, tensor] : inputs.all()) {
    if (name == "q")
      all.add(name, turned(p, tensor, of_queries));
    else if (name == "k")
      all.add(name, turned(p, tensor, of_keys));
    else
      all.add(name, tensor);
  }
  return all;
}

}  // namespace attnfuzz
