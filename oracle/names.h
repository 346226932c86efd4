#pragma once
#include <array>
#include <optional>
#include <string_view>

namespace attnfuzz {

/// The words of an enumeration, in the order of its values; they are its only spelling in Case
/// files, flags and reports. Specialise for each enumeration.
template <class E>
inline constexpr std::array<std::string_view, 0> names_of{};

template <class E>
constexpr std::string_view name(E value) {
  return names_of<E>[static_cast<size_t>(value)];
}

template <class E>
constexpr std::optional<E> parse_name(std::string_view text) {
  for (size_t i = 0; i < names_of<E>.size(); ++i)
    if (names_of<E>[i] == text) return static_cast<E>(i);
  return std::nullopt;
}

}  // namespace attnfuzz
