#include "fuzz/measure/places.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "fuzz/elements.h"
#include "fuzz/measure/orders.h"

namespace attnfuzz::measure {
namespace {

/// An output as rows in logical order, with what is right.
struct Table {
  Output output = Output::out;
  Index sizes{};
  size_t dim = 0;
  std::vector<double> got, want, bound;

  size_t at(const Index& n) const {
    return static_cast<size_t>((n[0] * sizes[1] + n[1]) * sizes[2] + n[2]) * dim;
  }
  size_t rows() const { return want.size() / dim; }
  Index index(size_t row) const {
    const auto n = static_cast<int64_t>(row);
    return {n / sizes[2] / sizes[1], n / sizes[2] % sizes[1], n % sizes[2]};
  }
  bool is_zero(size_t n) const {
    return std::all_of(want.begin() + static_cast<std::ptrdiff_t>(n * dim),
                       want.begin() + static_cast<std::ptrdiff_t>((n + 1) * dim),
                       [](double x) { return x == 0 || !std::isfinite(x); });
  }
  /// Whether what was got in row `n` is no more than an error: such a row looks like many others.
  bool is_faint(size_t n) const {
    for (size_t e = n * dim; e < (n + 1) * dim; ++e)
      if (std::abs(got[e]) > 8 * bound[e]) return false;
    return true;
  }
  /// Whether row `n` holds what is right for row `other`.
  bool holds(size_t n, size_t other) const {
    for (size_t d = 0; d < dim; ++d) {
      const size_t a = n * dim + d, b = other * dim + d;
      if (!(std::abs(got[a] - want[b]) <= bound[a] + bound[b])) return false;
    }
    return true;
  }
};

Table table_of(const Case& c, const WantedOutput& wanted, const Tensor& given) {
  const Problem& p = c.problem;
  Table table;
  table.output = wanted.output;
  const bool keys = wanted.output == Output::dk || wanted.output == Output::dv;
  table.sizes = {p.batch, keys ? p.num_kv_heads : p.num_heads, keys ? p.kv_len : p.q_len};
  const auto rows = static_cast<size_t>(table.sizes[0] * table.sizes[1] * table.sizes[2]);
  if (rows == 0) return table;
  table.dim = wanted.values->size() / rows;
  const std::vector<double> got = given.to_doubles();
  for (std::vector<double>* each : {&table.got, &table.want, &table.bound})
    each->resize(wanted.values->size());
  for (size_t e = 0; e < got.size(); ++e) {
    const WorstElement at = element_place(c, wanted, 0, e);
    const size_t to = table.at({at.b, at.h, at.i}) + static_cast<size_t>(at.d) % table.dim;
    table.got[to] = got[e];
    table.want[to] = (*wanted.values)[e];
    table.bound[to] = (*wanted.bound)[e];
  }
  return table;
}

std::string order_of(const Table& table, const Index& order) {
  const bool keys = table.output == Output::dk || table.output == Output::dv;
  return order_words(order, keys);
}

std::string other_order(const Table& table) {
  const Index logical{0, 1, 2};
  Index order = logical;
  while (std::next_permutation(order.begin(), order.end())) {
    bool all = true, moved = false;
    for (size_t n = 0; n < table.rows() && all; ++n) {
      const Index other = reread(table.index(n), table.sizes, logical, order);
      moved |= other != table.index(n);
      all = table.holds(n, table.at(other) / table.dim);
    }
    if (all && moved)
      return fmt::format(
          "{} is written in the order {} and read as {}, or the "
          "other way round.",
          name(table.output), order_of(table, order), order_of(table, logical));
  }
  return "";
}

std::string statement_of(const Table& table) {
  if (table.dim == 0 || table.rows() > 4000) return "";
  size_t wrong = 0;
  for (size_t n = 0; n < table.rows(); ++n) wrong += table.holds(n, n) ? 0 : 1;
  if (wrong < 2) return "";
  if (std::string words = other_order(table); !words.empty()) return words;
  std::set<std::string> pairs;
  std::array<bool, 3> same{true, true, true};
  for (size_t n = 0; n < table.rows(); ++n) {
    if (table.holds(n, n)) continue;
    if (table.is_faint(n)) return "";
    size_t other = 0;
    while (other < table.rows() && (table.is_zero(other) || !table.holds(n, other))) ++other;
    if (other == table.rows()) return "";
    const Index a = table.index(n), b = table.index(other);
    for (size_t k = 0; k < 3; ++k) same[k] &= a[k] == b[k];
    if (pairs.size() < 4)
      pairs.insert(fmt::format("row {} head {} place {} holds that of row {} head {} place {}",
                               a[0], a[1], a[2], b[0], b[1], b[2]));
  }
  const std::string_view which = same[1] && same[2]   ? "another batch row"
                                 : same[0] && same[2] ? "another head"
                                 : same[0] && same[1] ? "another place of the same head"
                                                      : "another row of the output";
  return fmt::format("What is wrong in {} is right for {}: {}.", name(table.output), which,
                     fmt::join(pairs, "; "));
}

}  // namespace

std::vector<Statement> misplaced_rows(const Case& c, const OwnRun& run) {
  std::vector<Statement> all;
  for (const WantedOutput& wanted : wanted_outputs(c, run.right.steps[0])) {
    const bool rows = wanted.output == Output::out || wanted.output == Output::lse ||
                      wanted.output == Output::dq || wanted.output == Output::dk ||
                      wanted.output == Output::dv;
    const Tensor* given = given_output(run.got, wanted.output);
    const bool whole = wanted.judged == nullptr;  // a sample does not tell where a row went
    if (!rows || !whole || given == nullptr || given->shape != *wanted.shape) continue;
    if (std::string words = statement_of(table_of(c, wanted, *given)); !words.empty())
      all.push_back({"places", std::move(words)});
  }
  return all;
}

}  // namespace attnfuzz::measure
