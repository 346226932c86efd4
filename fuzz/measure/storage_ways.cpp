#include "fuzz/measure/storage_ways.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "oracle/dtype.h"

namespace attnfuzz::measure {
namespace {

using To = StorageWay::To;

double same(double s, double) {
  return s;
}
double one(double, double) {
  return 1;
}
double at_least_one(double s, double) {
  return std::max(s, 1.0);
}
double of_other(double, double s) {
  return s;
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

constexpr StorageWay ways[] = {
    {"the scale is raised to 1 at least, so that smaller {0} are rounded to whole numbers",
     at_least_one, at_least_one},
    {"the scale is 1 whatever the {0} are: they are rounded to whole numbers", one, one},
    {"{0} are written with their scale and read with a scale of 1 (the scale is not applied)", same,
     one},
    {"{0} are written with a scale of 1 and read with theirs", one, same},
    {"{0} are read with the scale of the {1}", same, of_other},
    {"{0} are written with the scale of the {1}", of_other, same},
    {"{0} are written and read with the scale of the {1}", of_other, of_other},
    {"{0} are rounded toward zero, not to nearest", same, same, To::zero},
    {"{0} that are too large wrap round, and are not clamped", same, same, To::wrapped},
    {"{0} are not quantised", same, same, To::nothing},
    {"the scale is applied twice when {0} are read", same, squared},
    {"{0} are divided by their scale when they are read", same, inverse},
    {"{0} are multiplied by their scale when they are written", inverse, same},
    {"the scale is the largest element / 128", of_next, of_next},
    {"{0} are written with their scale and read with that for 128", same, of_next},
};

}  // namespace

bool StorageWay::explains(const StoredRead& stored) const {
  const double in = write(stored.scale, stored.other_scale),
               back = read(stored.scale, stored.other_scale);
  for (size_t d = 0; d < stored.written.size(); ++d) {
    const double x = stored.written[d];
    double want = x;
    if (to == To::zero)
      want = std::trunc(x / in) * back;
    else if (to != To::nothing)
      want = rounded(stored.quant, x / in, to == To::wrapped) * back;
    if (!(std::abs(stored.read[d] - want) <= stored.error * (std::abs(want) + std::abs(back))))
      return false;
  }
  return true;
}

std::string storage_words(std::span<const StoredRead> reads, std::string_view what,
                          std::string_view other) {
  for (const StorageWay& way : ways)
    if (std::all_of(reads.begin(), reads.end(),
                    [&](const StoredRead& read) { return way.explains(read); }))
      return fmt::format(fmt::runtime(way.words), what, other);
  return "";
}

}  // namespace attnfuzz::measure
