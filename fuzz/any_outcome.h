#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/draw.h"
#include "fuzz/generate.h"
#include "targets/target.h"

/// Targets that answer anything, for tests: whatever bits come back must be judged and reported.
namespace attnfuzz::testing {

/// Random claims over small sizes, inside which there are cases.
inline Capabilities any_claims(Draw& draw) {
  Capabilities claims;
  const auto range = [&](int64_t least, int64_t most) {
    const int64_t min = draw.between(least, most), max = draw.between(min, most);
    return SizeRange{draw.chance(70) ? least : min, max, 1};
  };
  claims.sizes = {{"batch", range(0, 3)},       {"num_heads", range(1, 4)},
                  {"q_len", range(0, 7)},       {"kv_len", range(0, 12)},
                  {"head_dim", range(1, 8)},    {"head_dim_v", range(1, 8)},
                  {"num_kv_heads", range(1, 4)}};
  if (draw.chance(40)) claims.sizes["memory_kv"] = range(0, 3);
  if (draw.chance(50)) {
    claims.sizes["steps"] = range(draw.chance(50) ? 0 : 1, 4);
    claims.sizes["capacity"] = {0, 16, 1};
    claims.sizes["page_size"] = {1, 4, 1};
  }
  const int percent = static_cast<int>(draw.between(40, 100));
  for (const std::string& word : feature_words())
    if (draw.chance(percent)) claims.features.push_back(word);
  if (draw.chance(30)) claims.properties = {};
  try {
    generate(claims, *seeded_draw(1, 1));
  } catch (const InputError&) {  // no case is inside
    for (auto& [size, limits] : claims.sizes) limits.min = size == "steps" ? 0 : 1, limits.max = 6;
    claims.features = feature_words();
  }
  return claims;
}

/// Bytes such as no error text should have: NUL, invalid UTF-8, escape sequences, formats, huge
/// numbers, and the words of texts that diagnosis knows.
inline std::string any_text(Draw& draw) {
  static constexpr std::string_view pieces[] = {
      "The size of tensor a (8) must match the size of tensor b (2) at non-singleton dimension ",
      "The expanded size of the tensor (5) must match the existing size (6) at non-singleton "
      "dimension 2",
      "CUDA error: an illegal memory access",
      "==1==ERROR: AddressSanitizer: heap-buffer-overflow",
      "killed by SIGSEGV (Segmentation fault)",
      "exited with code ",
      "std::bad_alloc",
      "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n",
      "q_len=",
      "shape [",
      "torch.Size([",
      "-9223372036854775808",
      "99999999999999999999999999",
      "1e308",
      "0x7fff",
      "{}",
      "%n%s",
      "]]>",
      "</script><!--",
      "```\n",
      "`|`",
      "'; rm -rf \"$HOME\"; '",
      "\x1b[31m",
      "\x1b]0;",
      "\xc3\x28",
      "\xff\xfe",
      "\xed\xa0\x80",
      "\xe2\x80\xae",
      "\r\n",
      "\\",
      "\t",
      "\n\n",
      "must match",
      "RuntimeError: ",
      "nan",
      "[",
      "]",
      "(",
      ")",
      ","};
  std::string text;
  const int64_t count = draw.between(0, 8);
  for (int64_t k = 0; k < count; ++k) {
    if (draw.chance(60))
      text += draw.pick(std::span<const std::string_view>(pieces));
    else if (draw.chance(50))
      text += fmt::format("{} ", draw.between(-3, 70));
    else
      for (int64_t n = draw.between(1, 12); n > 0; --n)
        text += static_cast<char>(draw.between(0, 255));
  }
  if (draw.chance(3) && !text.empty()) {  // very long
    constexpr size_t bytes = size_t{1} << 17;
    const std::string once = text;
    while (text.size() < bytes) text += once;
  }
  return text;
}

/// A number that a cache may say of itself.
inline int64_t any_count(Draw& draw, int64_t right) {
  static constexpr int64_t odd[] = {INT64_MIN, INT64_MAX, -1, 0, 1, INT64_MAX - 1, 1LL << 40};
  constexpr int64_t far = int64_t{1} << 60;  // it may be odd already
  if (draw.chance(50)) return std::clamp(right, -far, far) + draw.between(-3, 3);
  return draw.pick(std::span<const int64_t>(odd));
}

/// One way in which an outcome can be other than right. Draws from `draw` alone, so that the same
/// way can be taken again with another case's outcome.
struct Corruption {
  std::string_view name;
  void (*apply)(Outcome&, Draw&);
};

namespace corruptions {

/// A step and one of its tensors; nullptr where there is none.
inline Tensor* any_tensor(Outcome& outcome, Draw& draw) {
  if (outcome.steps.empty()) return nullptr;
  StepOutput& step = outcome.steps[static_cast<size_t>(
      draw.between(0, static_cast<int64_t>(outcome.steps.size()) - 1))];
  const int64_t which = draw.between(0, static_cast<int64_t>(step.more.size()));
  return which == 0 ? &step.out : &std::next(step.more.begin(), which - 1)->second;
}

inline std::vector<int64_t>* any_list(Outcome& outcome, Draw& draw) {
  if (outcome.steps.empty()) return nullptr;
  StepOutput& step = outcome.steps[static_cast<size_t>(
      draw.between(0, static_cast<int64_t>(outcome.steps.size()) - 1))];
  return draw.chance(70) ? &step.lengths : &step.positions;
}

inline Tensor any_new_tensor(Draw& draw) {
  Shape shape;
  for (int64_t axis = draw.between(0, 6); axis > 0; --axis) shape.push_back(draw.between(0, 4));
  if (draw.chance(10)) shape = {0, int64_t{1} << 62};
  return {static_cast<DType>(draw.between(0, names_of<DType>.size() - 1)), shape};
}

/// Elements by a stride from one on, as values or as bits.
inline void values(Outcome& outcome, Draw& draw) {
  Tensor* tensor = any_tensor(outcome, draw);
  if (tensor == nullptr || tensor->size() == 0) return;
  static constexpr double odd[] = {0.0,   -0.0,    1.0,     1e30,     -1e308,    5e-324,
                                   1e-40, 65504.0, -65536., INFINITY, -INFINITY, NAN};
  const int64_t kind = draw.between(0, 5), from = draw.between(0, tensor->size() - 1);
  const int64_t stride = draw.chance(50) ? tensor->size() : draw.between(1, 8);
  const double odd_value = draw.pick(std::span<const double>(odd));
  std::vector<double> all = tensor->to_doubles();
  const auto width = static_cast<int64_t>(info(tensor->dtype).bytes);
  const Tensor before = *tensor;
  for (int64_t n = from; n < before.size(); n += stride) {
    double& value = all[static_cast<size_t>(n)];
    if (kind == 0) value = odd_value;
    if (kind == 1) value += 1;
    if (kind == 2) value *= 1.01;
    if (kind == 3) value = all[static_cast<size_t>(draw.between(0, before.size() - 1))];
  }
  if (kind < 4) {
    *tensor = Tensor::from_doubles(before.dtype, before.shape, all);
    return;
  }
  for (int64_t n = from; n < before.size(); n += stride)
    for (int64_t byte = 0; byte < width; ++byte)
      tensor->bytes[static_cast<size_t>(n * width + byte)] =
          kind == 4 ? std::byte{0xFF} : static_cast<std::byte>(draw.between(0, 255));
}

/// The elements in another order, as if strides were read wrong.
inline void order(Outcome& outcome, Draw& draw) {
  Tensor* tensor = any_tensor(outcome, draw);
  if (tensor == nullptr || tensor->size() == 0) return;
  std::vector<double> all = tensor->to_doubles();
  if (draw.chance(50))
    std::reverse(all.begin(), all.end());
  else
    std::rotate(all.begin(), all.begin() + draw.between(0, tensor->size() - 1), all.end());
  *tensor = Tensor::from_doubles(tensor->dtype, tensor->shape, all);
}

inline void shape(Outcome& outcome, Draw& draw) {
  Tensor* tensor = any_tensor(outcome, draw);
  if (tensor == nullptr) return;
  Shape wrong = tensor->shape;
  const int64_t kind = draw.between(0, 4);
  const auto axis = static_cast<size_t>(draw.between(0, 5)) % std::max<size_t>(1, wrong.size());
  if (kind == 0)
    wrong.insert(wrong.begin() + static_cast<std::ptrdiff_t>(axis % (wrong.size() + 1)), 1);
  if (kind == 1 && !wrong.empty()) wrong.erase(wrong.begin() + static_cast<std::ptrdiff_t>(axis));
  if (kind == 2 && !wrong.empty())
    wrong[axis] = std::max<int64_t>(0, wrong[axis] + draw.between(-1, 1));
  if (kind == 3 && !wrong.empty()) std::swap(wrong[axis], wrong.back());
  *tensor = kind == 4 ? any_new_tensor(draw) : Tensor(tensor->dtype, wrong);
}

inline void dtype(Outcome& outcome, Draw& draw) {
  if (Tensor* tensor = any_tensor(outcome, draw); tensor != nullptr && tensor->size() > 0) {
    const auto other = static_cast<DType>(draw.between(0, names_of<DType>.size() - 1));
    *tensor = Tensor::from_doubles(other, tensor->shape, tensor->to_doubles());
  }
}

inline void missing(Outcome& outcome, Draw& draw) {
  if (outcome.steps.empty()) return;
  StepOutput& step = outcome.steps[static_cast<size_t>(
      draw.between(0, static_cast<int64_t>(outcome.steps.size()) - 1))];
  if (step.more.empty() || draw.chance(30))
    step.out = Tensor();
  else
    step.more.erase(
        std::next(step.more.begin(), draw.between(0, static_cast<int64_t>(step.more.size()) - 1)));
}

inline void surplus(Outcome& outcome, Draw& draw) {
  if (outcome.steps.empty()) return;
  const auto output = static_cast<Output>(draw.between(1, names_of<Output>.size() - 1));
  outcome.steps.front().more[output] = any_new_tensor(draw);
}

inline void steps(Outcome& outcome, Draw& draw) {
  std::vector<StepOutput>& all = outcome.steps;
  const int64_t kind = draw.between(0, 3);
  if (kind == 0 && !all.empty()) all.pop_back();
  if (kind == 1) all.emplace_back();
  if (kind == 2 && !all.empty()) all.push_back(all.front());
  if (kind == 3 && !all.empty()) std::swap(all.front(), all.back());
}

inline void lengths(Outcome& outcome, Draw& draw) {
  std::vector<int64_t>* list = any_list(outcome, draw);
  if (list == nullptr) return;
  if (draw.chance(20)) list->resize(static_cast<size_t>(draw.between(0, 4)));
  for (int64_t& each : *list)
    if (draw.chance(60)) each = any_count(draw, each);
}

inline void capacity(Outcome& outcome, Draw& draw) {
  if (outcome.steps.empty()) return;
  std::optional<int64_t>& each = outcome.steps.back().capacity;
  each = any_count(draw, each.value_or(0));
}

/// An error that comes after some steps, or a text where all went well.
inline void ends(Outcome& outcome, Draw& draw) {
  outcome.status = static_cast<Status>(draw.between(0, names_of<Status>.size() - 1));
  outcome.text = any_text(draw);
  const auto most = static_cast<int64_t>(outcome.steps.size());
  if (outcome.status != Status::ok)
    outcome.steps.resize(static_cast<size_t>(draw.chance(70) ? 0 : draw.between(0, most)));
  outcome.final = draw.chance(10);
}

inline constexpr Corruption table[] = {
    {"values", values},   {"values", values},   {"order", order},       {"shape", shape},
    {"dtype", dtype},     {"missing", missing}, {"surplus", surplus},   {"steps", steps},
    {"lengths", lengths}, {"lengths", lengths}, {"capacity", capacity}, {"ends", ends}};

}  // namespace corruptions

/// Gives the right outcome of each case, wrong in the same ways each time.
class CorruptedTarget final : public Target {
 public:
  CorruptedTarget(std::string name, std::string version, Capabilities claims, Draw& draw)
      : says_lengths_(draw.chance(70)),
        restarts_(draw.chance(40)),
        period_(draw.chance(20) ? 2 : 1),
        first_(draw.between(0, 1)) {
    info_.name = std::move(name);
    info_.version = std::move(version);
    info_.capabilities = std::move(claims);
    for (int64_t count = draw.chance(70) ? 1 : draw.between(0, 4); count > 0; --count)
      ways_.emplace_back(draw.pick(std::span<const Corruption>(corruptions::table)), draw.bits());
  }
  const TargetInfo& info() const override { return info_; }
  bool restart() override { return restarts_; }
  int64_t runs() const { return runs_; }

  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome = right(c, inputs);
    if (runs_++ % period_ != first_ % period_) return outcome;
    for (const auto& [way, key] : ways_) way.apply(outcome, *seeded_draw(key, 0));
    return outcome;
  }

 private:
  Outcome right(const Case& c, const Inputs& inputs) const {
    Outcome outcome;
    for (const StepAnswer& step : answer(c, inputs).steps) {
      StepOutput& output = outcome.steps.emplace_back();
      if (!step.shape.empty())
        output.out = Tensor::from_doubles(c.problem.dtype, step.shape, step.out);
      for (const MoreAnswer& more : step.more)
        output.more[more.output] = Tensor::from_doubles(
            output_spec(c.problem, more.output, 0).dtype, more.shape, more.values);
      if (!says_lengths_) continue;
      output.lengths = step.lengths;
      output.positions = step.positions;
      if (c.cached()) output.capacity = step.capacity;
    }
    return outcome;
  }

  TargetInfo info_;
  std::vector<std::pair<Corruption, uint64_t>> ways_;
  bool says_lengths_, restarts_;
  int64_t period_, first_;  ///< of 2: every other run is right
  int64_t runs_ = 0;
};

}  // namespace attnfuzz::testing
