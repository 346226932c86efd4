#include "fuzz/elements.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "oracle/rows.h"

namespace attnfuzz {
namespace {

struct Axis {
  std::string_view letter, size, counts;
  int64_t WorstElement::*member;
};
constexpr Axis b{"b", "batch", "batch row", &WorstElement::b},
    h{"h", "num_heads", "head", &WorstElement::h},
    key_h{"h", "num_kv_heads", "KV head", &WorstElement::h},
    i{"i", "q_len", "query", &WorstElement::i}, j{"j", "kv_len", "key", &WorstElement::i},
    mem_j{"j", "memory_kv", "memory key", &WorstElement::i},
    d{"d", "head_dim", "element", &WorstElement::d},
    v_d{"d", "head_dim_v", "element", &WorstElement::d},
    last_j{"j", "kv_len", "key", &WorstElement::d};

/// The axes of an output in logical order.
std::span<const Axis> axes_of(Output output) {
  static constexpr Axis outs[] = {b, h, i, v_d}, queries[] = {b, h, i, d},
                        keys[] = {b, key_h, j, d}, values[] = {b, key_h, j, v_d},
                        rows[] = {b, h, i}, scores[] = {b, h, i, last_j}, heads[] = {h},
                        mem_keys[] = {key_h, mem_j, d}, mem_values[] = {key_h, mem_j, v_d};
  switch (output) {
    case Output::out:
      return outs;
    case Output::dq:
      return queries;
    case Output::dk:
      return keys;
    case Output::dv:
      return values;
    case Output::lse:
      return rows;
    case Output::dbias:
      return scores;
    case Output::dsinks:
      return heads;
    case Output::dmem_k:
      return mem_keys;
    case Output::dmem_v:
      break;
  }
  return mem_values;
}

/// Whether the layout says in which order it lies.
bool has_layout(Output output) {
  return output == Output::out || output == Output::dq || output == Output::dk ||
         output == Output::dv;
}

/// Where the output's logical axis lies in its shape, and the other way round.
size_t swap_axis(const Case& c, Output output, size_t axis) {
  const bool swapped = has_layout(output) && c.problem.layout == Layout::bshd;
  return swapped && (axis == 1 || axis == 2) ? 3 - axis : axis;
}

}  // namespace

std::vector<WantedOutput> wanted_outputs(const Case& c, const StepAnswer& step) {
  if (step.shape.empty()) return {};
  std::vector<WantedOutput> all{{Output::out, c.problem.dtype, &step.shape, &step.out, &step.bound,
                                 step.judged ? &*step.judged : nullptr}};
  for (const MoreAnswer& more : step.more)
    all.push_back({more.output, output_spec(c.problem, more.output, 0).dtype, &more.shape,
                   &more.values, &more.bound, more.judged ? &*more.judged : nullptr});
  return all;
}

size_t element_offset(const Case& c, const WantedOutput& wanted, size_t at) {
  if (wanted.judged == nullptr) return at;
  const auto dim = static_cast<size_t>(wanted.shape->size() > 3 ? wanted.shape->back() : 1);
  const size_t row = at / dim, per_head = wanted.judged->rows.size();
  const auto [row_of_batch, head] = wanted.judged->heads[row / per_head];
  const Layout layout = has_layout(wanted.output) ? c.problem.layout : Layout::bhsd;
  return static_cast<size_t>(Rows(layout, *wanted.shape)
                                 .index(row_of_batch, head, wanted.judged->rows[row % per_head])) +
         at % dim;
}

std::vector<double> judged_values(const Case& c, const WantedOutput& wanted, const Tensor& given) {
  if (wanted.judged == nullptr) return given.to_doubles();
  const auto dim = static_cast<size_t>(wanted.shape->size() > 3 ? wanted.shape->back() : 1);
  const auto size = static_cast<size_t>(info(given.dtype).bytes);
  std::vector<double> values(wanted.values->size());
  for (size_t at = 0; at < values.size(); at += dim)
    decode(given.dtype, given.bytes.data() + element_offset(c, wanted, at) * size,
           std::span(values).subspan(at, dim));
  return values;
}

double error_ratio(double got, double want, double bound) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double error = std::abs(got - want);
  if (error <= bound) return bound > 0 && bound < infinity ? error / bound : 0;
  if (bound == infinity) return 0;  // unchecked
  if (std::isnan(want)) return std::isnan(got) ? 0 : infinity;
  if (got == want) return 0;  // the same infinity
  return error < infinity ? std::max(error / bound, 1 + unit_roundoff(DType::f64)) : infinity;
}

const Tensor* given_output(const StepOutput& step, Output output) {
  if (output == Output::out) return &step.out;
  const auto found = step.more.find(output);
  return found == step.more.end() ? nullptr : &found->second;
}

WorstElement element_place(const Case& c, const WantedOutput& wanted, size_t step, size_t at) {
  WorstElement place;
  place.output = wanted.output;
  place.step = static_cast<int64_t>(step);
  const std::span<const Axis> axes = axes_of(wanted.output);
  auto rest = static_cast<int64_t>(element_offset(c, wanted, at));
  for (size_t axis = axes.size(); axis-- > 0;) {
    place.*axes[swap_axis(c, wanted.output, axis)].member = rest % (*wanted.shape)[axis];
    rest /= (*wanted.shape)[axis];
  }
  return place;
}

std::string_view coordinate_name(Output output, int64_t WorstElement::*coordinate) {
  for (const Axis& axis : axes_of(output))
    if (axis.member == coordinate) return axis.counts;
  return {};
}

int64_t query_head(const Case& c, const WorstElement& element) {
  const std::span<const Axis> axes = axes_of(element.output);
  const bool by_kv_heads = std::any_of(axes.begin(), axes.end(),
                                       [](const Axis& axis) { return axis.size == key_h.size; });
  if (!by_kv_heads) return element.h;
  for (int64_t head = 0; head < c.problem.num_heads; ++head)
    if (c.problem.kv_head(head) == element.h) return head;
  return 0;
}

std::string named_shape(const Case& c, const WantedOutput& wanted, const Shape& shape) {
  if (shape.size() != wanted.shape->size()) return to_string(shape);
  const std::span<const Axis> axes = axes_of(wanted.output);
  std::vector<std::string> words;
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    const bool right = shape[axis] == (*wanted.shape)[axis];
    const std::string_view size = axes[swap_axis(c, wanted.output, axis)].size;
    words.push_back(right ? fmt::format("{}={}", size, shape[axis]) : fmt::to_string(shape[axis]));
  }
  return fmt::format("[{}]", fmt::join(words, ", "));
}

std::string wrong_axes(const Case& c, const WantedOutput& wanted, const Shape& given) {
  if (given.size() != wanted.shape->size()) return {};
  const std::span<const Axis> axes = axes_of(wanted.output);
  std::vector<std::string> words;
  for (size_t k = 0; k < axes.size(); ++k) {
    const size_t axis = swap_axis(c, wanted.output, k);
    if (given[axis] != (*wanted.shape)[axis])
      words.push_back(fmt::format("{} is {}", axes[k].letter, given[axis]));
  }
  return fmt::format("{}: {}", name(wanted.output), fmt::join(words, ", "));
}

std::string place_text(const WorstElement& element) {
  std::vector<std::string> words;
  for (const Axis& axis : axes_of(element.output))
    words.push_back(fmt::format("{}={}", axis.letter, element.*axis.member));
  return fmt::format("{}[{}]", name(element.output), fmt::join(words, ", "));
}

}  // namespace attnfuzz
