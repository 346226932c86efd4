#include "fuzz/elements.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace attnfuzz {
namespace {

struct Axis {
  std::string_view letter;
  int64_t WorstElement::*member;
};
constexpr Axis b{"b", &WorstElement::b}, h{"h", &WorstElement::h}, i{"i", &WorstElement::i},
    j{"j", &WorstElement::i}, d{"d", &WorstElement::d}, last_j{"j", &WorstElement::d};

/// The axes of an output in logical order.
std::span<const Axis> axes_of(Output output) {
  static constexpr Axis queries[] = {b, h, i, d}, keys[] = {b, h, j, d}, rows[] = {b, h, i},
                        scores[] = {b, h, i, last_j}, heads[] = {h}, memory[] = {h, j, d};
  switch (output) {
    case Output::out:
    case Output::dq:
      return queries;
    case Output::dk:
    case Output::dv:
      return keys;
    case Output::lse:
      return rows;
    case Output::dbias:
      return scores;
    case Output::dsinks:
      return heads;
    case Output::dmem_k:
    case Output::dmem_v:
      break;
  }
  return memory;
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
  std::vector<WantedOutput> all{
      {Output::out, c.problem.dtype, &step.shape, &step.out, &step.bound}};
  for (const MoreAnswer& more : step.more)
    all.push_back({more.output, output_spec(c.problem, more.output, 0).dtype, &more.shape,
                   &more.values, &more.bound});
  return all;
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
  auto rest = static_cast<int64_t>(at);
  for (size_t axis = axes.size(); axis-- > 0;) {
    place.*axes[swap_axis(c, wanted.output, axis)].member = rest % (*wanted.shape)[axis];
    rest /= (*wanted.shape)[axis];
  }
  return place;
}

std::string wrong_axes(const Case& c, const WantedOutput& wanted, const Shape& given) {
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
