// Weighing values: whole rows, tiles with the online softmax, and parts that are merged, with their
// mutants.
#include <algorithm>
#include <cmath>
#include <limits>

#include "targets/zoo/kernel.h"

namespace attnfuzz::zoo {
namespace {

constexpr int64_t most_parts = 4;  // of a split
constexpr double none = -std::numeric_limits<double>::infinity();

constexpr Mutant table[] = {
    {"online-out-not-rescaled", "the output is not rescaled when the maximum rises", Kernel::tiled,
     "online-out-not-rescaled"},
    {"online-sum-not-rescaled", "the sum is not rescaled when the maximum rises", Kernel::tiled,
     "online-sum-not-rescaled"},
    {"online-nothing-rescaled", "neither is rescaled when the maximum rises", Kernel::tiled,
     "online-nothing-rescaled"},
    {"online-sum-of-last-tile", "the sum starts anew with each tile", Kernel::tiled,
     "online-sum-of-last-tile"},
    {"online-out-of-last-tile", "the output starts anew with each tile", Kernel::tiled,
     "online-out-of-last-tile"},
    {"online-rescale-inverted", "exp(new - old) for exp(old - new)", Kernel::tiled,
     "online-rescale-inverted"},
    {"online-max-of-tile", "the maximum is the new tile's, not the larger of both", Kernel::tiled,
     "softmax-range"},
    {"online-max-of-first-tile", "the maximum is not updated after the first tile", Kernel::tiled,
     "softmax-range"},
    {"max-not-subtracted", "exp(s) for exp(s - max)", Kernel::naive, "softmax-range"},
    {"max-over-hidden", "the maximum is taken before the mask", Kernel::split_kv,
     "softmax-range nan-leak inf-leak"},
    {"max-of-first-key", "the first key's score is the maximum", Kernel::naive, "softmax-range"},
    {"base-2", "exp2 without the factor log2(e)", Kernel::tiled, "softmax-base-2",
     "The softmax is one of powers of 2|The sink adds 2^sink"},
    {"not-divided", "the division by the sum is missing", Kernel::naive, "softmax-not-divided"},
    {"divided-twice", "the output is divided by the sum twice", Kernel::tiled,
     "softmax-divided-twice"},
    {"divided-by-count", "the mean over the keys for the division by the sum", Kernel::split_kv,
     "softmax-divided-by-count"},
    {"tail-tile-dropped", "kv_len / 16 tiles, rounded down", Kernel::tiled, "keys-tail-16-missing"},
    {"tail-tile-zeros", "the last tile's padding is not masked: zero keys and values",
     Kernel::tiled, "keys-tail-16-zeros"},
    {"tail-tile-overlaps", "the last tile starts 16 before the end, and is not masked",
     Kernel::tiled, "keys-tail-16-twice"},
    {"first-tile-dropped", "with more than one tile the loop begins at the second", Kernel::tiled,
     "keys-first-16-missing"},
    {"second-tile-dropped", "the prefetched tile is overwritten", Kernel::tiled,
     "keys-second-16-missing"},
    {"last-key-dropped", "j < kv_len - 1", Kernel::naive, "keys-last-missing"},
    {"first-key-dropped", "j = 1", Kernel::naive, "keys-first-missing"},
    {"last-key-twice", "the loop's rest handles the last key once more", Kernel::naive,
     "keys-last-twice"},
    {"tile-edge-twice", "tiles are [begin, end] for [begin, end)", Kernel::tiled,
     "keys-edge-16-twice"},
    {"tile-edge-dropped", "the first key of each tile but the first is skipped", Kernel::tiled,
     "keys-edge-16-missing"},
    {"split-averaged", "the parts' outputs are averaged", Kernel::split_kv, "split-averaged"},
    {"split-max-ignored", "the parts are merged without their maxima", Kernel::split_kv,
     "split-max-ignored"},
    {"split-sum-ignored", "the parts are merged by exp(max) alone", Kernel::split_kv,
     "split-sum-ignored", "are merged with wrong sums or maxima"},
    {"split-last-dropped", "the last part is not merged", Kernel::split_kv, "split-last-missing-*"},
    {"split-edge-twice", "parts overlap by one key", Kernel::split_kv, "split-edge-twice-*"},
    {"split-edge-dropped", "parts end one key early", Kernel::split_kv, "split-edge-missing-*"},
    {"sink-in-each-tile", "the sink joins the sum with every tile", Kernel::tiled,
     "sinks-in-each-tile", "The sink is counted once for each tile of 16 keys"},
    {"sink-in-each-part", "the sink joins the sum of every part", Kernel::split_kv,
     "sinks-in-each-part sinks-in-each-tile",
     "The sink is counted once for each tile of 16 keys|once for each part"},
    {"sink-without-max", "exp(sink) for exp(sink - max)", Kernel::naive, "sinks-without-max"},
    {"hidden-keys-weighed", "hidden keys have the weight 0 and are not skipped", Kernel::naive,
     "nan-leak inf-leak"},
    {"block-hidden-weighed", "inside a block hidden keys have the weight 0 and are not skipped",
     Kernel::sparse, "nan-leak inf-leak"},
    {"max-from-minus-88", "the maximum begins with -88, not -inf", Kernel::sparse, "softmax-range"},
    {"p-in-bf16", "the weights are rounded to bf16", Kernel::tiled, "lower-precision"},
    {"p-in-f16", "the weights are rounded to f16", Kernel::split_kv, "lower-precision"},
    {"sum-in-bf16", "the weights are summed in bf16", Kernel::naive, "lower-precision"},
    {"out-in-f16", "the output is accumulated in f16", Kernel::tiled, "lower-precision"},
    {"out-truncated", "the output is truncated to its type, not rounded", Kernel::split_kv,
     "output-truncated lower-precision"},
    {"subnormals-flushed", "subnormal values are read as zero", Kernel::tiled,
     "subnormals-flushed"},
    {"fully-masked-nan", "0 / 0 where no key is seen", Kernel::naive, "fully-masked-nan"},
    {"fully-masked-uniform", "the mask's value is lowest() for -inf", Kernel::naive,
     "fully-masked-uniform"},
    {"fully-masked-zero", "NaN is always replaced by 0", Kernel::tiled, "fully-masked-zero"},
    {"fully-masked-first", "a row that sees no key gives the first value", Kernel::naive,
     "rows-no-key nan-leak inf-leak"},
};

/// Σ p v and Σ p of some keys, with exp(max) taken out.
struct Part {
  double max = none, sum = 0;
  std::vector<double> out;
};

/// exp in the accumulator's range.
double exponential(const Context& x, double s) {
  const double value = x.m.is("base-2"_line) ? std::exp2(s) : std::exp(s);
  return x.problem.dtype == DType::f64 ? value : static_cast<double>(static_cast<float>(value));
}

double rounded_weight(const Context& x, double p) {
  if (x.m.is("p-in-bf16"_line)) return round_to(DType::bf16, p);
  return x.m.is("p-in-f16"_line) ? round_to(DType::f16, p) : p;
}

double maximum(const Context& x, const Part& part, std::span<const Key> keys) {
  const Mutation& m = x.m;
  double max = m.is("online-max-of-tile"_line) ? none : part.max;
  if (m.is("max-from-minus-88"_line) && max == none) max = -88;
  if (m.is("online-max-of-first-tile"_line) && max > none) return max;
  for (const Key& key : keys) {
    if (key.hidden && !m.is("max-over-hidden"_line)) continue;
    max = std::max(max, key.score);
    if (m.is("max-of-first-key"_line)) break;
  }
  return m.is("max-not-subtracted"_line) && max > none ? 0 : max;
}

/// One step of the online softmax (Milakov and Gimelshein 2018).
void add(const Context& x, std::span<const Key> keys, double sink, Part& part) {
  const Mutation& m = x.m;
  const double max = maximum(x, part, keys);
  if (max == none) return;
  const bool first = part.max == none;
  double factor = first ? 0 : exponential(x, part.max - max);
  if (m.is("online-rescale-inverted"_line) && !first) factor = exponential(x, max - part.max);
  const bool nothing = m.is("online-nothing-rescaled"_line);
  part.sum *= nothing || m.is("online-sum-not-rescaled"_line) ? 1 : factor;
  if (m.is("online-sum-of-last-tile"_line)) part.sum = 0;
  if (m.is("online-out-of-last-tile"_line)) factor = 0;
  for (double& o : part.out) o *= nothing || m.is("online-out-not-rescaled"_line) ? 1 : factor;
  for (const Key& key : keys) {
    const bool weighed = m.is("hidden-keys-weighed"_line) || m.is("block-hidden-weighed"_line);
    if (key.hidden && !weighed) continue;
    const double p = key.hidden ? 0 : exponential(x, key.score - max);
    part.sum += p;
    if (m.is("sum-in-bf16"_line)) part.sum = round_to(DType::bf16, part.sum);
    for (size_t d = 0; d < part.out.size(); ++d)
      part.out[d] += rounded_weight(x, p) * key.kept * key.v[d];
  }
  if (m.is("out-in-f16"_line))
    for (double& o : part.out) o = round_to(DType::f16, o);
  if (m.is("sink-in-each-tile"_line)) part.sum += exponential(x, sink - max);
  part.max = max;
}

/// Which of the tiles [begin, end) of keys are read.
struct Tile {
  int64_t begin, end;
};

std::vector<Tile> tiles_of(const Context& x, int64_t kv_len) {
  const Mutation& m = x.m;
  std::vector<Tile> tiles;
  const int64_t tile = x.tile.keys;
  for (int64_t begin = 0; begin < kv_len; begin += tile)
    tiles.push_back({begin, std::min(begin + tile, kv_len)});
  if (tiles.size() < 2) return tiles;
  if (m.is("tail-tile-dropped"_line) && kv_len % tile != 0) tiles.pop_back();
  if (m.is("tail-tile-overlaps"_line)) tiles.back() = {kv_len - tile, kv_len};
  if (m.is("first-tile-dropped"_line)) tiles.erase(tiles.begin());
  if (m.is("second-tile-dropped"_line)) tiles.erase(tiles.begin() + 1);
  for (size_t n = 0; n + 1 < tiles.size(); ++n) tiles[n].end += m.one("tile-edge-twice"_line);
  for (size_t n = 1; n < tiles.size(); ++n) tiles[n].begin += m.one("tile-edge-dropped"_line);
  return tiles;
}

std::vector<Tile> parts_of(const Context& x, int64_t kv_len) {
  const Mutation& m = x.m;
  const int64_t count =
      std::clamp((kv_len + x.tile.keys - 1) / x.tile.keys, int64_t{1}, most_parts);
  std::vector<Tile> parts;
  for (int64_t n = 0; n < count; ++n)
    parts.push_back({kv_len * n / count, kv_len * (n + 1) / count});
  if (m.is("split-last-dropped"_line) && count > 1) parts.pop_back();
  for (size_t n = 0; n + 1 < parts.size(); ++n)
    parts[n].end += m.one("split-edge-twice"_line) - m.one("split-edge-dropped"_line);
  return parts;
}

std::vector<Tile> whole(const Context& x, int64_t kv_len) {
  const Mutation& m = x.m;
  Tile all{0, kv_len};
  if (kv_len > 1) {
    all.begin += m.one("first-key-dropped"_line);
    all.end -= m.one("last-key-dropped"_line);
  }
  if (m.is("last-key-twice"_line)) return {all, {kv_len - 1, kv_len}};
  return {all};
}

std::vector<Key> keys_in(std::span<const Key> keys, Tile range) {
  std::vector<Key> some;
  for (const Key& key : keys)
    if (!key.memory && key.j >= range.begin && key.j < range.end) some.push_back(key);
  return some;
}

Part empty_part(const Context& x) {
  return {.out = std::vector<double>(static_cast<size_t>(x.problem.head_dim_v))};
}

/// All keys of one part after the other by the online softmax.
Part one_after_another(const Context& x, std::span<const Key> keys, std::span<const Tile> tiles,
                       double sink) {
  Part part = empty_part(x);
  std::vector<Key> memory;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(memory),
               [](const Key& key) { return key.memory; });
  add(x, memory, sink, part);
  for (const Tile& range : tiles) {
    std::vector<Key> some = keys_in(keys, range);
    const std::vector<double> zeros(static_cast<size_t>(x.problem.head_dim_v));
    if (x.m.is("tail-tile-zeros"_line))  // causal masks hide them
      for (int64_t j = range.end; j % x.tile.keys != 0 && x.problem.mask.rules.empty(); ++j)
        some.push_back({.k = nullptr, .v = zeros.data(), .score = 0});
    add(x, some, sink, part);
  }
  return part;
}

/// Parts with a softmax each, merged by their maxima and sums (Dao et al. 2023).
Part merged(const Context& x, std::span<const Key> keys, int64_t kv_len, double sink) {
  const Mutation& m = x.m;
  const std::vector<Tile> ranges = parts_of(x, kv_len);
  Part all = one_after_another(x, keys, {}, sink);
  int64_t parts = all.max > none ? 1 : 0;
  for (const Tile& range : ranges) {
    Part part = empty_part(x);
    add(x, keys_in(keys, range), sink, part);
    if (part.max == none) continue;
    if (m.is("sink-in-each-part"_line)) part.sum += exponential(x, sink - part.max);
    double max = std::max(all.max, part.max);
    double keep = all.max == none ? 0 : exponential(x, all.max - max);
    double take = exponential(x, part.max - max);
    if (m.is("split-max-ignored"_line)) keep = take = 1;
    if (m.is("split-sum-ignored"_line)) take /= part.sum;
    if (m.is("split-averaged"_line)) {
      keep =
          static_cast<double>(parts) / static_cast<double>(parts + 1) / std::max(all.sum, 1e-300);
      take = 1 / static_cast<double>(parts + 1) / part.sum;
    }
    for (size_t d = 0; d < all.out.size(); ++d) all.out[d] = keep * all.out[d] + take * part.out[d];
    all.sum = keep * all.sum + take * part.sum;
    all.max = max;
    ++parts;
  }
  return all;
}

void fully_masked(const Context& x, std::span<const Key> keys, double* out) {
  const Mutation& m = x.m;
  FullyMasked gives = x.problem.fully_masked;
  if (m.is("fully-masked-nan"_line)) gives = FullyMasked::nan;
  if (m.is("fully-masked-uniform"_line)) gives = FullyMasked::uniform;
  if (m.is("fully-masked-zero"_line)) gives = FullyMasked::zero;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (gives == FullyMasked::uniform && keys.empty()) gives = FullyMasked::nan;  // 0 / 0
  std::fill_n(out, x.problem.head_dim_v, gives == FullyMasked::nan ? nan : 0.0);
  if (keys.empty()) return;
  const bool first = m.is("fully-masked-first"_line);
  if (first) std::copy_n(keys.front().v, x.problem.head_dim_v, out);
  if (gives != FullyMasked::uniform || first) return;
  for (const Key& key : keys)
    for (int64_t d = 0; d < x.problem.head_dim_v; ++d)
      out[d] += key.kept * key.v[d] / static_cast<double>(keys.size());
}

double divisor(const Context& x, const Part& part, size_t keys) {
  const Mutation& m = x.m;
  if (m.is("not-divided"_line)) return 1;
  if (m.is("divided-by-count"_line)) return static_cast<double>(keys);
  return m.is("divided-twice"_line) ? part.sum * part.sum : part.sum;
}

}  // namespace

void softmax(const Context& x, std::span<const Key> keys, int64_t kv_len, double sink,
             double* out) {
  const Mutation& m = x.m;
  const auto seen = static_cast<size_t>(
      std::count_if(keys.begin(), keys.end(), [](auto& k) { return !k.hidden; }));
  if (seen == 0 && sink == none) return fully_masked(x, keys, out);
  const bool split = x.kernel == Kernel::split_kv;
  const bool tiled = x.kernel != Kernel::naive;
  Part part =
      split ? merged(x, keys, kv_len, sink)
            : one_after_another(x, keys, tiled ? tiles_of(x, kv_len) : whole(x, kv_len), sink);
  const bool counted = m.is("sink-in-each-tile"_line) || m.is("sink-in-each-part"_line);
  if (part.max == none && sink == none) return fully_masked(x, keys, out);
  if (sink > none && !counted) {
    const double max = m.is("sink-without-max"_line) ? part.max : std::max(part.max, sink);
    const double keep = part.max == none ? 0 : exponential(x, part.max - max);
    part.sum = keep * part.sum + exponential(x, m.is("sink-without-max"_line) ? sink : sink - max);
    for (double& o : part.out) o *= keep;
  }
  const double by = divisor(x, part, seen);
  for (int64_t d = 0; d < x.problem.head_dim_v; ++d)
    out[d] = seen == 0 ? 0 : part.out[static_cast<size_t>(d)] / by;
}

std::span<const Mutant> softmax_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
