#pragma once
#include <cstdint>
#include <string_view>

#include "oracle/fnv.h"

namespace attnfuzz::zoo {

/// A line of a kernel that a mutant has wrong, by the mutant's name.
using Line = uint64_t;

consteval Line operator""_line(const char* name, size_t size) {
  return fnv1a({name, size});
}

/// Which line a kernel has wrong; none by default. The kernels ask where they could be:
///   const int64_t last = q_pos + m.one("causal-one-more"_line);
///   if (!m.is("sinks-ignored"_line)) sum += std::exp(sink - max);
class Mutation {
 public:
  constexpr Mutation() = default;
  constexpr explicit Mutation(std::string_view name) : line_(fnv1a(name)) {}

  constexpr bool is(Line line) const { return line_ == line; }
  constexpr int64_t one(Line line) const { return is(line) ? 1 : 0; }
  template <class T>
  constexpr T either(Line line, T wrong, T right) const {
    return is(line) ? wrong : right;
  }

 private:
  Line line_ = 0;
};

}  // namespace attnfuzz::zoo
