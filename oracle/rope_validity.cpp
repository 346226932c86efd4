#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "oracle/rope.h"

namespace attnfuzz {
namespace {

/// Looks for the first thing about rope that keeps a case from being one.
class RopeValidity {
 public:
  explicit RopeValidity(const Problem& p) : p_(p), s_(p.rope_scaling) {}

  std::optional<Rejection> first() {
    if (dims() && base() && scaling() && positions()) return std::nullopt;
    return std::move(found_);
  }

 private:
  bool fail(std::string_view path, std::string_view expected) {
    found_ = Rejection{fmt::format("/problem/{}", path), fmt::format("expected {}", expected)};
    return false;
  }

  bool on() const { return p_.rope != Rope::none; }

  bool dims() {
    if (on() && p_.rope_dim == 0 && p_.head_dim % 2 != 0)
      return fail("head_dim", fmt::format("an even number with rope, found {}", p_.head_dim));
    if (p_.rope_dim != 0 &&
        (!on() || p_.rope_dim % 2 != 0 || p_.rope_dim < 0 || p_.rope_dim >= p_.head_dim))
      return fail("rope_dim",
                  fmt::format("0, or with rope an even number below head_dim {}, found {}",
                              p_.head_dim, p_.rope_dim));
    return p_.rope_dim != 0 || p_.rope_part == RopePart::first ||
           fail("rope_part", "none without rope_dim");
  }

  bool base() {
    const bool usable = on() ? std::isfinite(p_.rope_base) && p_.rope_base > 1
                             : p_.rope_base == Problem().rope_base;
    return usable || fail("rope_base", "a finite number above 1 with rope, none without");
  }

  bool number(std::string_view key, double value, double min, double max) {
    return (value >= min && value <= max) ||
           fail(fmt::format("rope_scaling/{}", key),
                fmt::format("a number from {} to {}, found {}", min, max, value));
  }

  bool scaling() {
    if (s_.law == RopeLaw::none)
      return s_ == RopeScaling() || fail("rope_scaling", "none without a law");
    if (!on()) return fail("rope_scaling", "none without rope");
    return number("factor", s_.factor, 1, 1e4) && number("magnitude", s_.magnitude, 0.1, 10) &&
           original_len() && ramp();
  }

  bool original_len() {
    constexpr int64_t most = int64_t{1} << 24;
    const bool good = s_.has_original_len() ? s_.original_len >= 1 && s_.original_len <= most
                                            : s_.original_len == 0;
    return good || fail("rope_scaling/original_len",
                        s_.has_original_len() ? fmt::format("an integer from 1 to {}, found {}",
                                                            most, s_.original_len)
                                              : fmt::format("none for {}", name(s_.law)));
  }

  bool ramp() {
    if (s_.has_ramp()) {
      if (!number("low", s_.low, 1e-3, 1e4) || !number("high", s_.high, 2 * s_.low, 1e5))
        return false;
      if (s_.law != RopeLaw::yarn) return s_.truncate || fail("rope_scaling", "no truncate");
      return (p_.rope_base >= 2 || fail("rope_base", "a number of at least 2 with yarn")) &&
             pairs();
    }
    return (s_.low == 0 && s_.high == 0 && s_.truncate) ||
           fail("rope_scaling", fmt::format("no ramp for {}", name(s_.law)));
  }

  /// Where a ramp's end is nearly a whole pair, the arithmetic's precision says which one it is.
  bool pairs() {
    const double near = 1e-4 + 1e-6 * static_cast<double>(p_.turned_dim()) / std::log(p_.rope_base);
    const auto [begin, end] = whole_rope_ramp(p_);
    const auto is_whole = [near](double x) { return std::abs(x - std::round(x)) < near; };
    if (!(begin < static_cast<double>(p_.turned_dim() - 1) && end > near))
      return fail("rope_scaling",
                  fmt::format("a ramp that begins before the last pair and ends behind the first, "
                              "found one from {} to {}",
                              begin, end));
    return !s_.truncate || (!is_whole(begin) && !is_whole(end)) ||
           fail("rope_scaling",
                fmt::format("a ramp whose ends are no whole pairs before they are rounded, found "
                            "{} and {}",
                            begin, end));
  }

  bool positions() {
    constexpr int64_t most = int64_t{1} << 24;
    const std::vector<int64_t>& all = p_.rope_positions;
    if (all.empty()) return true;
    if (!on()) return fail("rope_positions", "none without rope");
    if (static_cast<int64_t>(all.size()) != p_.kv_len)
      return fail("rope_positions",
                  fmt::format("one for each of the {} keys, found {}", p_.kv_len, all.size()));
    for (size_t j = 0; j < all.size(); ++j)
      if (all[j] < 0 || all[j] > most)
        return fail(fmt::format("rope_positions/{}", j),
                    fmt::format("an integer from 0 to {}, found {}", most, all[j]));
    return true;
  }

  const Problem& p_;
  const RopeScaling& s_;
  std::optional<Rejection> found_;
};

}  // namespace

std::optional<Rejection> rope_rejection(const Problem& problem) {
  return RopeValidity(problem).first();
}

}  // namespace attnfuzz
