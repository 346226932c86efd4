#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "fuzz/faults/rows.h"
#include "reports/causes/causes.h"
#include "reports/errors.h"

namespace attnfuzz {
namespace {

constexpr double none = -std::numeric_limits<double>::infinity();

/// Σ p v and Σ p of some keys, with exp(max) taken out.
struct Sums {
  double max = none, sum = 0;
  std::vector<double> out;
  int64_t parts = 0;

  double keep(double new_max) const;
};

/// exp in the range of float, which sums are mostly kept in.
double exponential(double x) {
  return static_cast<double>(static_cast<float>(std::exp(x)));
}

double Sums::keep(double new_max) const {
  return max == none ? 0 : exponential(max - new_max);
}

/// What is to be done with a part's sums: `mine` and `theirs` are the factors that would be right.
struct Merge {
  double out_mine, sum_mine, out_theirs, sum_theirs;
};
using Wrong = Merge (*)(const Merge& right, const Sums& mine, const Sums& theirs);

enum class Over : uint8_t { row, tiles, parts };

/// A mistake in the algorithm that no other meaning of the case amounts to.
struct Recipe {
  CauseEntry entry;  ///< {} is the tile or the number of parts
  Over over;
  Wrong merge = [](const Merge& right, const Sums&, const Sums&) { return right; };
  double (*divisor)(const Sums&, double keys) = [](const Sums& s, double) { return s.sum; };
  enum class Sink : uint8_t { right, each, without_max } sink = Sink::right;
  bool clamp = false;
};

/// The simpler first: a row's, then those from tile to tile.
constexpr Recipe table[] = {
    {.entry = {"sinks-without-max", "the sink's share is exp(sink), without the row's maximum"},
     .over = Over::row,
     .sink = Recipe::Sink::without_max},
    {.entry = {"softmax-not-divided", "the weights are not divided by their sum"},
     .over = Over::row,
     .divisor = [](const Sums&, double) { return 1.0; }},
    {.entry = {"softmax-divided-twice", "the weights are divided by their sum twice"},
     .over = Over::row,
     .divisor = [](const Sums& s, double) { return s.sum * s.sum; }},
    {.entry = {"softmax-divided-by-count",
               "the weights are divided by the number of keys, not by their sum"},
     .over = Over::row,
     .divisor = [](const Sums&, double keys) { return keys; }},
    {.entry = {"softcap-clamped", "the softcap cuts scores off at ±cap instead of bending them"},
     .over = Over::row,
     .clamp = true},
    {{"online-out-not-rescaled",
      "the output so far is not rescaled when a later tile of {} keys raises the maximum"},
     Over::tiles,
     [](const Merge& m, const Sums&, const Sums&) {
       return Merge{1, m.sum_mine, m.out_theirs, m.sum_theirs};
     }},
    {{"online-sum-not-rescaled",
      "the sum so far is not rescaled when a later tile of {} keys raises the maximum"},
     Over::tiles,
     [](const Merge& m, const Sums&, const Sums&) {
       return Merge{m.out_mine, 1, m.out_theirs, m.sum_theirs};
     }},
    {{"online-nothing-rescaled",
      "output and sum so far are not rescaled when a later tile of {} keys raises the maximum"},
     Over::tiles,
     [](const Merge& m, const Sums&, const Sums&) {
       return Merge{1, 1, m.out_theirs, m.sum_theirs};
     }},
    {{"online-rescale-inverted",
      "the factor for a new maximum is exp(new - old), not exp(old - new), from tile to tile of {} "
      "keys"},
     Over::tiles,
     [](const Merge& m, const Sums& mine, const Sums&) {
       const auto inverse = [&](double x) { return mine.max == none ? 0 : 1 / x; };
       return Merge{inverse(m.out_mine), inverse(m.sum_mine), m.out_theirs, m.sum_theirs};
     }},
    {{"online-sum-of-last-tile", "the sum is that of the last tile of {} keys alone"},
     Over::tiles,
     [](const Merge& m, const Sums&, const Sums&) {
       return Merge{m.out_mine, 0, m.out_theirs, m.sum_theirs};
     }},
    {{"online-out-of-last-tile", "the values are those of the last tile of {} keys alone"},
     Over::tiles,
     [](const Merge& m, const Sums&, const Sums&) {
       return Merge{0, m.sum_mine, m.out_theirs, m.sum_theirs};
     }},
    {{"split-averaged", "the outputs of {} parts of the keys are averaged"},
     Over::parts,
     [](const Merge&, const Sums& mine, const Sums& theirs) {
       const double parts = static_cast<double>(mine.parts);
       const double by = 1 / (parts + 1), mine_by = parts * by / (mine.sum > 0 ? mine.sum : 1);
       return Merge{mine_by, mine_by, by / theirs.sum, by / theirs.sum};
     }},
    {{"split-max-ignored", "the sums of {} parts of the keys are added without their maxima"},
     Over::parts,
     [](const Merge&, const Sums&, const Sums&) {
       return Merge{1, 1, 1, 1};
     }},
    {{"split-sum-ignored", "{} parts of the keys are weighed by their maxima alone"},
     Over::parts,
     [](const Merge& m, const Sums&, const Sums& theirs) {
       return Merge{m.out_mine, m.sum_mine, m.out_theirs / theirs.sum, m.sum_theirs / theirs.sum};
     }},
    {.entry = {"sinks-in-each-tile", "the sink joins the sum with every tile of {} keys"},
     .over = Over::tiles,
     .sink = Recipe::Sink::each},
    {.entry = {"sinks-in-each-part", "the sink joins the sum of each of {} parts of the keys"},
     .over = Over::parts,
     .sink = Recipe::Sink::each},
};

constexpr int64_t one_row[] = {0}, tiles[] = {16, 32, 64, 128, 8}, parts[] = {2, 3, 4, 8, 1};
std::span<const int64_t> sizes_of(Over over) {
  if (over == Over::tiles) return tiles;
  return over == Over::parts ? std::span<const int64_t>(parts) : std::span<const int64_t>(one_row);
}

/// The number of the part that key j is in; memory keys come before all.
int64_t part_of(Over over, int64_t size, int64_t j, int64_t kv_len) {
  if (j < 0) return -1;
  if (over == Over::tiles) return j / size;
  int64_t part = 0;
  while (over == Over::parts && part + 1 < size && j >= kv_len * (part + 1) / size) ++part;
  return part;
}

Sums sums_of(std::span<const RowKeys::Key> keys, int64_t dim) {
  Sums sums;
  sums.out.resize(static_cast<size_t>(dim));
  for (const RowKeys::Key& key : keys) sums.max = std::max(sums.max, key.score);
  for (const RowKeys::Key& key : keys) {
    const double p = exponential(key.score - sums.max);
    sums.sum += p;
    for (size_t d = 0; d < sums.out.size(); ++d) sums.out[d] += p * key.v[d];
  }
  return sums;
}

/// The row's output by a recipe.
std::vector<double> output(const Recipe& recipe, int64_t size, const RowKeys& row, int64_t kv_len,
                           int64_t dim) {
  Sums all;
  all.out.resize(static_cast<size_t>(dim));
  const auto part = [&](const RowKeys::Key& key) {
    return part_of(recipe.over, size, key.j, kv_len);
  };
  for (auto begin = row.keys.begin(); begin != row.keys.end();) {
    const auto end = std::find_if(begin, row.keys.end(),
                                  [&](const auto& key) { return part(key) != part(*begin); });
    Sums some = sums_of({begin, end}, dim);
    if (recipe.sink == Recipe::Sink::each && (part(*begin) >= 0 || recipe.over == Over::tiles))
      some.sum += exponential(row.sink - some.max);
    const double max = std::max(all.max, some.max);
    const double mine = all.keep(max), theirs = some.keep(max);
    const Merge merge = recipe.merge({mine, mine, theirs, theirs}, all, some);
    for (size_t d = 0; d < all.out.size(); ++d)
      all.out[d] = merge.out_mine * all.out[d] + merge.out_theirs * some.out[d];
    all.sum = merge.sum_mine * all.sum + merge.sum_theirs * some.sum;
    all.max = max;
    ++all.parts;
    begin = end;
  }
  if (row.sink > none && recipe.sink == Recipe::Sink::without_max) {
    all.sum += exponential(row.sink);
  } else if (row.sink > none && recipe.sink == Recipe::Sink::right) {
    const double max = std::max(all.max, row.sink), keep = all.keep(max);
    all.sum = keep * all.sum + exponential(row.sink - max);
    for (double& o : all.out) o *= keep;
  }
  const double by = recipe.divisor(all, static_cast<double>(row.keys.size()));
  for (double& o : all.out) o /= by;
  return all.out;
}

/// A case's output, read once for all recipes.
struct ReadOutput {
  ReadOutput(const Case& of, const Examination& examination)
      : c(of),
        errors(element_errors(of, examination, Output::out)),
        reader(of, make_inputs(of)),
        u(unit_roundoff(of.problem.dtype) + unit_roundoff(examination.precision.p)) {}

  const Case& c;
  std::vector<ElementError> errors;
  RowReader reader;
  double u;
};

/// Whether a case's output is what the recipe gives.
bool fits(const Recipe& recipe, int64_t size, const ReadOutput& given) {
  const Problem& p = given.c.problem;
  std::vector<double> out;
  double largest = 0;
  std::array<int64_t, 3> at{-1, -1, -1};
  for (const ElementError& e : given.errors) {
    if (at != std::array{e.b, e.h, e.i}) {
      at = {e.b, e.h, e.i};
      const RowKeys row = given.reader.row(e.b, e.h, e.i, recipe.clamp);
      if (row.keys.empty()) return false;
      out = output(recipe, size, row, p.kv_len, p.head_dim_v);
      for (const double o : out)
        if (std::isfinite(o)) largest = std::max(largest, std::abs(o));
    }
    const double got = out[static_cast<size_t>(e.d)];
    const double off = std::abs(e.got - got);
    if (e.wrong() && !(off <= std::abs(e.got - e.want) / 4) && std::isfinite(e.got)) return false;
    if (off <= 4 * given.u * std::abs(got) + 1e-4 * largest) continue;
    if (!std::isfinite(e.got) && !std::isfinite(got)) continue;
    return false;
  }
  return !given.errors.empty();
}

bool is_tried(const Case& c, const Examination& examination) {
  return !c.cached() && !c.problem.recurrent() && !examination.outcome.steps.empty() &&
         c.data.nonfinite == NonFinite::none;
}

}  // namespace

std::vector<Cause> causes_from_softmax(const Finding& finding) {
  const FailureKind kind = finding.last.verdict.failure;
  if (kind != FailureKind::mismatch && kind != FailureKind::nan) return {};
  // A recipe gives `out`: of a gradient or an lse it says nothing.
  if (finding.last.verdict.worst.output != Output::out) return {};
  if (!is_tried(finding.shrunk.c, finding.last)) return {};
  const ReadOutput shrunk(finding.shrunk.c, finding.last);
  std::optional<ReadOutput> original;
  if (is_tried(finding.original, finding.first)) original.emplace(finding.original, finding.first);
  std::vector<Cause> causes;
  for (const Recipe& recipe : table)
    for (const int64_t size : sizes_of(recipe.over)) {
      if (!fits(recipe, size, shrunk) || (original && !fits(recipe, size, *original))) continue;
      causes.push_back(
          {std::string(recipe.entry.name),
           fmt::format("The output {}equals what you get if {}.", causes.empty() ? "" : "also ",
                       fmt::format(fmt::runtime(recipe.entry.words), size))});
      break;
    }
  return causes;
}

std::span<const CauseEntry> softmax_table() {
  static const std::vector<CauseEntry> entries = [] {
    static std::vector<std::string> words;
    words.reserve(std::size(table));
    std::vector<CauseEntry> all;
    for (const Recipe& recipe : table) {
      words.push_back(fmt::format(fmt::runtime(recipe.entry.words), "N"));
      all.push_back({recipe.entry.name, words.back()});
    }
    return all;
  }();
  return entries;
}

}  // namespace attnfuzz
