#include "reports/triage/axes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace attnfuzz::triage {
namespace {

/// Sizes that are far more common than their neighbours.
enum class Usual : uint8_t {
  nothing,
  head_dims,
  heads,
  kv_heads,
  batches,
  lengths,
  powers,
  hidden,
  pages,
  two,
  three,
  packed
};

struct Row {
  Axis axis;
  char letter;
  std::string_view name;
  Usual usual;
  double share;    ///< of the usual sizes among all
  double centre;   ///< of the others: log-normal around this …
  double breadth;  ///< … with this deviation of the logarithm
};
constexpr Row kRows[] = {
    {Axis::none, '?', "", Usual::nothing, 0, 100, 3},
    {Axis::batch, 'b', "batch", Usual::batches, .6, 6, 1.6},
    {Axis::num_heads, 'h', "num_heads", Usual::heads, .8, 10, 1.0},
    {Axis::num_kv_heads, 'g', "num_kv_heads", Usual::kv_heads, .8, 8, 1.1},
    {Axis::group, 'r', "group", Usual::kv_heads, .7, 4, .7},
    {Axis::q_len, 'q', "q_len", Usual::lengths, .35, 150, 2.2},
    {Axis::kv_len, 'k', "kv_len", Usual::lengths, .35, 200, 2.2},
    {Axis::past_len, 'a', "past_len", Usual::lengths, .2, 200, 2.2},
    {Axis::memory_kv, 'M', "memory_kv", Usual::batches, .5, 8, 1.2},
    {Axis::head_dim, 'd', "head_dim", Usual::head_dims, .85, 30, 1.1},
    {Axis::head_dim_v, 'e', "head_dim_v", Usual::head_dims, .85, 30, 1.1},
    {Axis::half_dim, 'D', "head_dim/2", Usual::head_dims, .8, 16, 1.0},
    {Axis::hidden, 'm', "hidden", Usual::hidden, .85, 400, 1.6},
    {Axis::q_hidden, 'H', "num_heads*head_dim", Usual::hidden, .85, 400, 1.6},
    {Axis::kv_hidden, 'n', "kv_hidden", Usual::hidden, .85, 400, 1.6},
    {Axis::batch_heads, 'B', "batch*num_heads", Usual::heads, .65, 64, 1.4},
    {Axis::batch_kv_heads, 'G', "batch*num_kv_heads", Usual::heads, .6, 48, 1.4},
    {Axis::tokens, 't', "tokens", Usual::lengths, .2, 500, 2.4},
    {Axis::kv_tokens, 'u', "kv_tokens", Usual::lengths, .2, 500, 2.4},
    {Axis::capacity, 'c', "capacity", Usual::powers, .7, 1500, 1.6},
    {Axis::max_positions, 'x', "max_positions", Usual::powers, .8, 2000, 1.5},
    {Axis::num_pages, 'p', "num_pages", Usual::powers, .2, 3000, 2.2},
    {Axis::page_size, 's', "page_size", Usual::pages, .95, 32, 1.0},
    {Axis::window, 'w', "window", Usual::powers, .8, 500, 1.5},
    {Axis::chunk, 'C', "chunk", Usual::powers, .7, 200, 1.8},
    {Axis::pair, '2', "2", Usual::two, 1, 2, .1},
    {Axis::triple, '3', "3", Usual::three, 1, 3, .1},
    {Axis::memory_and_kv, '+', "memory_kv+kv_len", Usual::lengths, .2, 200, 2.2},
    {Axis::past_and_q, '&', "past_len+q_len", Usual::lengths, .2, 200, 2.2},
    {Axis::qkv_hidden, 'Q', "qkv_hidden", Usual::hidden, .7, 1500, 1.6},
    {Axis::state_dim, 'S', "state_dim", Usual::head_dims, .6, 64, 1.2},
    {Axis::packed_head, 'P', "3*head_dim", Usual::packed, .85, 200, 1.0},
    {Axis::latent, 'L', "latent_dim", Usual::head_dims, .6, 512, .5},
    {Axis::other, 'o', "other", Usual::nothing, 0, 20, 2.5},
    {Axis::elements, '#', "elements", Usual::nothing, 0, 100000, 4},
};
static_assert(std::size(kRows) == static_cast<size_t>(Axis::count));

const Row& row_of(Axis axis) {
  return kRows[static_cast<size_t>(axis)];
}

struct Weighted {
  int64_t size;
  double weight;
};
constexpr Weighted kHeadDims[] = {{8, 1},   {16, 2},  {24, .5},  {32, 4},   {40, 2},
                                  {48, 1},  {56, .5}, {64, 9},   {72, 1},   {80, 3},
                                  {96, 3},  {112, 1}, {120, .5}, {128, 10}, {160, 1},
                                  {192, 2}, {256, 3}, {512, 1},  {576, 1}};
constexpr Weighted kHeads[] = {{1, 1},   {2, 2},    {3, 1},    {4, 4},  {5, 1},   {6, 2},
                               {8, 7},   {10, 2},   {12, 6},   {14, 1}, {15, .5}, {16, 6},
                               {20, 3},  {24, 3},   {25, 1},   {28, 2}, {32, 8},  {36, .5},
                               {40, 3},  {48, 1.5}, {56, .5},  {64, 3}, {71, .5}, {72, .3},
                               {80, .5}, {96, .5},  {112, .3}, {128, 1}};
constexpr Weighted kKvHeads[] = {{1, 2},   {2, 4},  {3, 1},   {4, 5},  {5, 1},  {6, 1},
                                 {7, 1},   {8, 10}, {10, .5}, {12, 2}, {16, 3}, {20, .7},
                                 {24, .5}, {32, 2}, {40, .4}, {64, .3}};
constexpr Weighted kBatches[] = {{1, 8},  {2, 8},  {3, 2},   {4, 6},    {5, 1},    {6, 1},
                                 {8, 6},  {10, 1}, {12, 1},  {16, 4},   {20, .5},  {24, .5},
                                 {32, 4}, {64, 2}, {128, 1}, {256, .5}, {512, .4}, {1024, .2}};
constexpr Weighted kLengths[] = {{1, 2},    {77, 3},   {128, 2},  {196, 1},  {197, 2},
                                 {256, 2},  {257, 1},  {512, 3},  {577, 1},  {1024, 3},
                                 {1500, 1}, {2048, 3}, {4096, 3}, {8192, 1}, {10, 1},
                                 {100, 1},  {16, 1},   {32, 1},   {64, 1}};
constexpr Weighted kPages[] = {{8, .5}, {16, 8}, {32, 4}, {64, 4}, {128, 2}, {256, 1}};

double weight_in(std::span<const Weighted> usual, int64_t size) {
  double all = 0, here = 0;
  for (const Weighted& each : usual) {
    all += each.weight;
    if (each.size == size) here = each.weight;
  }
  return here / all;
}

bool is_power_of_two(int64_t size) {
  return size > 0 && (size & (size - 1)) == 0;
}

/// Multiples of 64 (small models) or of 256: about 60 that are used.
double hidden_weight(int64_t size) {
  constexpr int64_t step = 64, most = 16384;
  if (size < step || size > most || size % step != 0) return 0;
  return (size % 256 == 0 ? 2.0 : 1.0) / (static_cast<double>(size) / static_cast<double>(step)) /
         6.5;
}

double usual_weight(Usual usual, int64_t size) {
  switch (usual) {
    case Usual::head_dims:
      return weight_in(kHeadDims, size);
    case Usual::heads:
      return weight_in(kHeads, size);
    case Usual::kv_heads:
      return weight_in(kKvHeads, size);
    case Usual::batches:
      return weight_in(kBatches, size);
    case Usual::lengths:
      return .6 * weight_in(kLengths, size) + .4 * hidden_weight(size);
    case Usual::pages:
      return weight_in(kPages, size);
    case Usual::hidden:
      return hidden_weight(size);
    case Usual::powers:
      return is_power_of_two(size) && size >= 64 && size <= 131072 ? 1. / 12 : 0;
    case Usual::two:
      return size == 2 ? 1 : 0;
    case Usual::three:
      return size == 3 ? 1 : 0;
    case Usual::packed:
      return size % 3 == 0 ? weight_in(kHeadDims, size / 3) : 0;
    case Usual::nothing:
      return 0;
  }
  return 0;
}

}  // namespace

std::string_view name_of(Axis axis) {
  return row_of(axis).name;
}

Axis axis_named(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.axis;
  return Axis::none;
}

Axis axis_of_letter(char letter) {
  for (const Row& row : kRows)
    if (row.letter == letter) return row.axis;
  return Axis::none;
}

bool is_length(Axis axis) {
  static constexpr Axis lengths[] = {Axis::q_len, Axis::kv_len, Axis::past_len, Axis::memory_and_kv,
                                     Axis::past_and_q};
  return std::find(std::begin(lengths), std::end(lengths), axis) != std::end(lengths);
}

bool is_heads(Axis axis) {
  return axis == Axis::num_heads || axis == Axis::num_kv_heads;
}

bool is_features(Axis axis) {
  return axis == Axis::q_hidden || name_of(axis).ends_with("hidden");
}

bool is_same_kind(Axis one, Axis other) {
  return one == other || (is_heads(one) && is_heads(other)) ||
         (is_length(one) && is_length(other)) ||
         (name_of(one).starts_with("head_dim") && name_of(other).starts_with("head_dim")) ||
         (is_features(one) && is_features(other));
}

double log_prior(Axis axis, int64_t size) {
  if (size <= 0) return 0;  // −1 and 0 stand for any size
  const Row& row = row_of(axis);
  const double x = static_cast<double>(size);
  const double z = (std::log(x) - std::log(row.centre)) / row.breadth;
  // Errors are about odd sizes: any is possible, as 1 / size.
  constexpr double odd = 5e-3, decades = 14;
  const double tail = std::exp(-z * z / 2) / (x * row.breadth * 2.5066);
  const double any = odd / (x * decades);
  return std::log(row.share * usual_weight(row.usual, size) + (1 - row.share) * tail + any);
}

}  // namespace attnfuzz::triage
