// How sharp the error bound is, as JSON lines.
//   sharpness target NAME CASES SEED   the distribution of |error| / bound, one line for each dtype
//   sharpness keys LENGTH…             how many elements show a dropped or doubled key
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>

#include "fuzz/generate.h"
#include "oracle/answer.h"
#include "targets/target.h"

namespace {

using namespace attnfuzz;
using Json = nlohmann::ordered_json;

/// Quotients counted in bins of a sixteenth of an octave, from 2^-40 up.
class Distribution {
 public:
  void add(double ratio, const std::string& where) {
    ++count_;
    ++bins_[ratio > 0 ? static_cast<size_t>(
                            std::clamp(std::floor((std::log2(ratio) + 40) * 16), 0.0, last_bin))
                      : 0];
    if (ratio <= max_) return;
    max_ = ratio;
    worst_ = where;
  }
  /// The upper end of the bin in which a part of all lies.
  double quantile(double part) const {
    auto left = static_cast<int64_t>(std::ceil(part * static_cast<double>(count_)));
    for (size_t k = 0; k < bins_.size(); ++k)
      if ((left -= bins_[k]) <= 0)
        return std::min(max_, std::exp2((static_cast<double>(k) + 1) / 16 - 40));
    return max_;
  }
  int64_t count() const { return count_; }
  double max() const { return max_; }
  const std::string& worst() const { return worst_; }

 private:
  static constexpr double last_bin = 655;
  std::array<int64_t, 656> bins_{};
  int64_t count_ = 0;
  double max_ = 0;
  std::string worst_;
};

void add_case(const Case& c, Target& target, Distribution& to) {
  const Inputs inputs = make_inputs(c);
  const Outcome outcome = target.run(c, inputs);
  const Answer right = answer(c, inputs, target.info().capabilities.precision_of(c.problem.dtype));
  for (size_t s = 0; s < std::min(outcome.steps.size(), right.steps.size()); ++s) {
    const StepAnswer& want = right.steps[s];
    if (want.out.empty() || outcome.steps[s].out.shape != want.shape) continue;
    const std::vector<double> got = outcome.steps[s].out.to_doubles();
    for (size_t e = 0; e < got.size(); ++e) {
      const double ratio = std::abs(got[e] - want.out[e]) / want.bound[e];
      if (want.bound[e] > 0 && std::isfinite(want.bound[e]) && std::isfinite(ratio))
        to.add(ratio, ratio > to.max() ? fmt::format("{}: {:.9g} for {:.9g} ± {:.3g}", one_line(c),
                                                     got[e], want.out[e], want.bound[e])
                                       : std::string());
    }
  }
}

void measure_target(const std::string& name, uint64_t cases, uint64_t seed) {
  const std::unique_ptr<Target> target = open_target(name);
  const Generator generator(target->info().capabilities);
  std::map<DType, Distribution> all;
  for (uint64_t n = 0; n < cases; ++n) {
    const Case c = generator(*seeded_draw(seed, n));
    add_case(c, *target, all[c.problem.dtype]);
  }
  for (const auto& [dtype, distribution] : all) {
    Json row = {{"target", name},
                {"dtype", attnfuzz::name(dtype)},
                {"elements", distribution.count()},
                {"median", distribution.quantile(0.5)},
                {"p999", distribution.quantile(0.999)},
                {"max", distribution.max()},
                {"worst", distribution.worst()},
                {"curve", Json::array()}};
    for (const double part : {.01, .02, .05, .1,  .2,   .3,   .4,   .5,    .6,    .7,     .8,
                              .9,  .95, .98, .99, .995, .998, .999, .9995, .9999, .99999, 1.0})
      row["curve"].push_back({part, distribution.quantile(part)});
    fmt::print("{}\n", row.dump());
  }
}

/// The last key missing, or there twice, in percent of the elements.
struct Shown {
  double dropped = 0, doubled = 0;  ///< that lie outside the bound
  double changed = 0;  ///< of which the output's type can tell at all that the key is missing
};

void apply_twice(const RuleUse&, const RowContext&, const MaskRow& row) {
  row.bias.back() += std::log(2.0);
}
constexpr RuleSpec twice{.name = "twice",
                         .words = "",
                         .params = {},
                         .positional = false,
                         .adds_bias = true,
                         .apply = apply_twice};

double percent_outside(const StepAnswer& right, const StepAnswer& other, DType out) {
  int64_t shown = 0;
  for (size_t e = 0; e < right.out.size(); ++e)
    shown += std::abs(round_to(out, other.out[e]) - right.out[e]) > right.bound[e];
  return 100 * static_cast<double>(shown) / static_cast<double>(right.out.size());
}

double percent_changed(const StepAnswer& right, const StepAnswer& other, DType out) {
  int64_t changed = 0;
  for (size_t e = 0; e < right.out.size(); ++e)
    changed += round_to(out, other.out[e]) != round_to(out, right.out[e]);
  return 100 * static_cast<double>(changed) / static_cast<double>(right.out.size());
}

Shown shown(int64_t length, DType dtype, const Precision& precision) {
  Case c;
  c.problem.dtype = dtype;
  c.problem.q_len = 16;
  c.problem.kv_len = length;
  c.problem.head_dim = c.problem.head_dim_v = 64;
  const Inputs inputs = make_inputs(c);
  const StepAnswer right = answer(c, inputs, precision).steps[0];
  Case dropped = c, doubled = c;
  dropped.problem.mask.rules = {
      {find_rule("padding"), {int64_t{1}, std::vector<int64_t>{length - 1}}}};
  doubled.problem.mask.rules = {{&twice, {}}};
  const StepAnswer without = answer(dropped, inputs).steps[0];
  return {percent_outside(right, without, dtype),
          percent_outside(right, answer(doubled, inputs).steps[0], dtype),
          percent_changed(right, without, dtype)};
}

void measure_keys(int64_t length) {
  struct Row {
    std::string_view words;
    DType dtype;
    Precision precision;
  };
  using enum DType;
  const Row rows[] = {{"f64", f64, {f64, f64, 2, {}, false}},
                      {"f32", f32, {f32, f32, 2, {}, false}},
                      {"f16, p in f32", f16, {f32, f32, 2, {}, false}},
                      {"bf16, p in f32", bf16, {f32, f32, 2, {}, false}},
                      {"f16, p in f16", f16, {f32, f16, 2, {}, false}},
                      {"bf16, p in bf16", bf16, {f32, bf16, 2, {}, false}},
                      {"e4m3, p in e4m3", e4m3, {f32, e4m3, 2, {}, false}},
                      {"e5m2, p in e5m2", e5m2, {f32, e5m2, 2, {}, false}}};
  for (const Row& row : rows) {
    const Shown percent = shown(length, row.dtype, row.precision);
    fmt::print("{}\n", Json{{"length", length},
                            {"precision", row.words},
                            {"dropped", percent.dropped},
                            {"doubled", percent.doubled},
                            {"changed", percent.changed}}
                           .dump());
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "target" && argc == 5) {
    measure_target(argv[2], std::strtoull(argv[3], nullptr, 10),
                   std::strtoull(argv[4], nullptr, 10));
  } else if (mode == "keys") {
    for (int arg = 2; arg < argc; ++arg) measure_keys(std::atoll(argv[arg]));
  } else {
    fmt::print(stderr, "usage: sharpness target NAME CASES SEED | sharpness keys LENGTH…\n");
    return 2;
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 3;
}
