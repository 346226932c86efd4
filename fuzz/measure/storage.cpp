#include "fuzz/measure/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "fuzz/measure/attributes.h"
#include "fuzz/measure/weights.h"
#include "oracle/dtype.h"
#include "oracle/philox.h"
#include "oracle/stored.h"

namespace attnfuzz::measure {

/// The scales with which a value is written and read, and how it is rounded.
struct StorageFacts::Way {
  const char* words;
  double (*write)(double scale, double key_scale);
  double (*read)(double scale, double key_scale);
  enum class To : uint8_t { nearest, zero, wrapped, nothing } to = To::nearest;
};

namespace {

double same(double s, double) {
  return s;
}
double one(double, double) {
  return 1;
}
double at_least_one(double s, double) {
  return std::max(s, 1.0);
}
double of_key(double, double k) {
  return k;
}
double inverse(double s, double) {
  return 1 / s;
}
double squared(double s, double) {
  return s * s;
}
double of_next(double s, double) {
  return s * 127 / 128;
}

double rounded(Quant quant, double y, bool wraps) {
  const double most = largest(quant);
  if (quant == Quant::int8 && wraps) {
    const double whole = std::nearbyint(y);
    return whole - 256 * std::floor((whole + 128) / 256);
  }
  const double size = std::min(std::abs(y), most);
  if (quant == Quant::int8) return std::copysign(std::nearbyint(size), y);
  return std::copysign(round_to(quant == Quant::e4m3 ? DType::e4m3 : DType::e5m2, size), y);
}

/// A value whose elements differ, the first the largest.
std::vector<double> ramp(const Problem& p, double size) {
  std::vector<double> all(static_cast<size_t>(p.head_dim_v));
  for (size_t d = 0; d < all.size(); ++d) {
    constexpr uint64_t seed = 11;
    const double uniform = static_cast<double>(philox4x32(seed, d, 0).v[0]) / 4294967296.0;
    all[d] = round_to(p.dtype, d == 0 ? size : size * (2 * uniform - 1));
  }
  return all;
}

}  // namespace

bool StorageFacts::fits(const Read& read, const Way& way) {
  const double write = way.write(read.scale, read.key_scale),
               back = way.read(read.scale, read.key_scale);
  for (size_t d = 0; d < read.value.size(); ++d) {
    const double x = read.value[d];
    double want = x;
    if (way.to == Way::To::zero)
      want = std::trunc(x / write) * back;
    else if (way.to != Way::To::nothing)
      want = rounded(read.quant, x / write, way.to == Way::To::wrapped) * back;
    if (!(std::abs(read.got[d] - want) <= read.error * (std::abs(want) + std::abs(back))))
      return false;
  }
  return true;
}

void StorageFacts::measure(Target& target, const Case& c, Budget& budget) {
  const Problem& p = c.problem;
  if (!c.cached() || c.cache->quant == Quant::none || p.sinks || p.memory_kv > 0) return;
  const Plan plan = declared(c);
  const double of_weights = weight_error(c, target.info().capabilities.precision_of(p.dtype));
  for (const double size : {0.02, 0.5, 3.0, 40.0, 400.0}) {
    if (!budget.allows(1)) return;
    Forge forge(plan);
    const std::vector<double> value = ramp(p, size);
    forge.queries([](int32_t, int64_t, int64_t, int64_t, std::span<double> row) {
      std::fill(row.begin(), row.end(), 0.0);
    });
    const double key = round_to(p.dtype, 3 * size);
    forge.keys([&](size_t, std::span<double> row) { std::fill(row.begin(), row.end(), key); });
    forge.values(
        [&](size_t, std::span<double> row) { std::copy(value.begin(), value.end(), row.begin()); });
    const std::optional<Given> given = run(target, plan, forge, budget);
    if (!given) return;
    const auto scales = [&](std::string_view name) {
      const Tensor* tensor = forge.inputs().find(name);
      return tensor == nullptr ? std::vector<double>{} : tensor->to_doubles();
    };
    const std::vector<double> v_scales = scales("v_scales"), k_scales = scales("k_scales");
    for (const Query& query : plan.queries) {
      if (query.keys.empty()) continue;
      const std::span<const double> out = row_of(plan, *given, query);
      const auto head = static_cast<size_t>(p.kv_head(query.h));
      const double most = largest(c.cache->quant);
      Read read{c.cache->quant,
                value,
                {out.begin(), out.end()},
                v_scales.empty() ? round_to(DType::f32, value[0] / most) : v_scales[head],
                k_scales.empty() ? round_to(DType::f32, key / most) : k_scales[head],
                1e-3 + 8 * unit_roundoff(p.dtype)};
      std::vector<double> right = value, off(value.size(), 0.0), error(value.size());
      store(*c.cache, p.dtype, read.scale, off, right, error);
      bool wrong = false;
      for (size_t d = 0; d < right.size(); ++d)
        wrong |= !(std::abs(out[d] - right[d]) <= error[d] + of_weights * std::abs(right[d]));
      ++count_;
      where_.add(attributes_of(plan, query), wrong);
      constexpr size_t most_wrong = 400;
      if (wrong && wrong_.size() < most_wrong) wrong_.push_back(std::move(read));
    }
  }
}

std::vector<Statement> StorageFacts::statements() const {
  if (wrong_.empty()) return {};
  using To = Way::To;
  static constexpr Way ways[] = {
      {"the scale is raised to 1 at least, so that smaller values are rounded to whole numbers",
       at_least_one, at_least_one},
      {"the scale is 1 whatever the values are: they are rounded to whole numbers", one, one},
      {"values are written with their scale and read with a scale of 1 (the scale is not applied)",
       same, one},
      {"values are written with a scale of 1 and read with theirs", one, same},
      {"values are read with the scale of the keys", same, of_key},
      {"values are written with the scale of the keys", of_key, same},
      {"values are written and read with the scale of the keys", of_key, of_key},
      {"values are rounded toward zero, not to nearest", same, same, To::zero},
      {"values that are too large wrap round, and are not clamped", same, same, To::wrapped},
      {"values are not quantised", same, same, To::nothing},
      {"the scale is applied twice when values are read", same, squared},
      {"values are divided by their scale when they are read", same, inverse},
      {"values are multiplied by their scale when they are written", inverse, same},
      {"the scale is the largest element / 128", of_next, of_next},
      {"values are written with their scale and read with that for 128", same, of_next},
  };
  for (const Way& way : ways) {
    if (!std::all_of(wrong_.begin(), wrong_.end(),
                     [&](const Read& read) { return fits(read, way); }))
      continue;
    const Where::Condition where = where_.condition();
    return {{"storage",
             fmt::format("In the quantised cache {}. (Seen in {} of {} queries{}.)", way.words,
                         wrong_.size(), count_,
                         where.found && !where.words.empty() ? "; exactly: " + where.words : "")}};
  }
  return {};
}

}  // namespace attnfuzz::measure
