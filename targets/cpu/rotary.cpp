#include "targets/cpu/rotary.h"

#include <cmath>

#include "targets/cpu/query_rows.h"

namespace attnfuzz {
namespace {

Tensor turned(const Problem& p, const Tensor& from, int64_t first_position) {
  Tensor to = from;
  Rotary rotary(p);
  with_element_type(p.dtype, [&]<class T>(std::type_identity<T>) {
    const auto view = view_in(p.layout, to.shape, to.as<T>());
    const bool heads_first = p.layout == Layout::bhsd;
    const int64_t heads = to.shape[heads_first ? 1 : 2], len = to.shape[heads_first ? 2 : 1];
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t s = 0; s < len; ++s)
          rotary.turn(view.at(b, h, s), first_position + s, view.at(b, h, s));
  });
  return to;
}

}  // namespace

Rotary::Rotary(const Problem& problem)
    : rope_(problem.rope),
      base_(problem.rope_base),
      dim_(static_cast<size_t>(problem.head_dim)),
      begin_(static_cast<size_t>(problem.turned_begin())),
      half_(static_cast<size_t>(problem.turned_dim()) / 2) {}

auto Rotary::turns_at(int64_t position) -> const Turn* {
  const auto turn = [&](int64_t at, size_t n) {
    const double exponent = static_cast<double>(n) / static_cast<double>(half_);
    const double angle = static_cast<double>(at) * std::pow(base_, -exponent);
    return Turn{std::cos(angle), std::sin(angle)};
  };
  if (position < 0) {
    negative_.clear();
    for (size_t n = 0; n < half_; ++n) negative_.push_back(turn(position, n));
    return negative_.data();
  }
  const size_t at = static_cast<size_t>(position) * half_;
  while (table_.size() <= at)
    for (size_t n = 0, next = table_.size() / half_; n < half_; ++n)
      table_.push_back(turn(static_cast<int64_t>(next), n));
  return table_.data() + at;
}

Inputs turned_inputs(const Case& c, const Inputs& inputs) {
  Inputs all;
  for (const auto& [name, tensor] : inputs.all()) {
    if (name == "q")
      all.add(name, turned(c.problem, tensor, query_position(c.problem, 0)));
    else if (name == "k")
      all.add(name, turned(c.problem, tensor, 0));
    else
      all.add(name, tensor);
  }
  return all;
}

}  // namespace attnfuzz
