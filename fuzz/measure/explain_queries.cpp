#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fuzz/measure/scores.h"

namespace attnfuzz::measure {
namespace {

/// Another query whose q gives a row's weights.
struct Other {
  int64_t row, head, i, step;
  auto operator<=>(const Other&) const = default;
};

/// How a query's q is found from its own place: of each, what it takes.
struct Rule {
  const char* words;
  bool (*holds)(const Row& row, const Other& other);
};
const Rule rules[] = {
    {"of the query at the same place of row 0",
     [](const Row& r, const Other& o) {
       return o.row == 0 && o.head == r.at().h && o.i == r.at().i && o.step == r.at().step;
     }},
    {"of query head 0",
     [](const Row& r, const Other& o) {
       return o.row == r.at().b && o.head == 0 && o.i == r.at().i && o.step == r.at().step;
     }},
    {"of query 0",
     [](const Row& r, const Other& o) {
       return o.row == r.at().b && o.head == r.at().h && o.i == 0 && o.step == r.at().step;
     }},
    {"of the query before",
     [](const Row& r, const Other& o) {
       return o.row == r.at().b && o.head == r.at().h && o.i == r.at().i - 1 &&
              o.step == r.at().step;
     }},
    {"of the query behind",
     [](const Row& r, const Other& o) {
       return o.row == r.at().b && o.head == r.at().h && o.i == r.at().i + 1 &&
              o.step == r.at().step;
     }},
    {"of the same query in another query head",
     [](const Row& r, const Other& o) {
       return o.row == r.at().b && o.i == r.at().i && o.step == r.at().step;
     }},
    {"of the query at the same place of another row",
     [](const Row& r, const Other& o) {
       return o.head == r.at().h && o.i == r.at().i && o.step == r.at().step;
     }},
    {"of another query of its row and head",
     [](const Row& r, const Other& o) { return o.row == r.at().b && o.head == r.at().h; }},
    {"of another query", [](const Row&, const Other&) { return true; }},
};

std::vector<Other> others(const Row& row) {
  std::vector<Other> found;
  const Plan& plan = *row.of->plan;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& other = plan.queries[n];
    if (other.step != row.at().step || n == row.query) continue;
    std::vector<double> scores;
    for (const size_t j : row.keys) {
      const Key& key = row.at().keys[j];
      scores.push_back(
          row.of->vectors->score(row.problem(), n, row.at().position, key.source, key.position));
    }
    if (row.fits(scores)) found.push_back({other.b, other.h, other.i, other.step});
  }
  return found;
}

}  // namespace

std::optional<std::string> explain_queries(const std::vector<Row>& wrong, const std::vector<Row>&) {
  std::vector<std::vector<Other>> all;
  for (const Row& row : wrong) {
    all.push_back(others(row));
    if (all.back().empty()) return {};
  }
  for (const Rule& rule : rules) {
    std::set<std::string> pairs;
    bool holds = true;
    for (size_t n = 0; n < wrong.size() && holds; ++n) {
      const auto found = std::find_if(all[n].begin(), all[n].end(),
                                      [&](const Other& o) { return rule.holds(wrong[n], o); });
      holds = found != all[n].end();
      if (!holds || pairs.size() > 3) continue;
      const Query& at = wrong[n].at();
      pairs.insert(fmt::format("row {} head {} query {} takes row {} head {} query {}", at.b, at.h,
                               at.i, found->row, found->head, found->i));
    }
    if (holds)
      return fmt::format("The weights are those of another q: that {} ({}).", rule.words,
                         fmt::join(pairs, "; "));
  }
  return {};
}

}  // namespace attnfuzz::measure
