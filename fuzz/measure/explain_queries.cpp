#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fuzz/measure/row_address.h"
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

/// Whether a row's weights come from the q of another query.
bool has_q_of(const Row& row, size_t query) {
  std::vector<double> scores;
  for (const size_t j : row.keys) {
    const Key& key = row.at().keys[j];
    scores.push_back(
        row.of->vectors->score(row.problem(), query, row.at().position, key.source, key.position));
  }
  return row.fits(scores);
}

std::vector<Other> others(const Row& row) {
  std::vector<Other> found;
  const Plan& plan = *row.of->plan;
  for (size_t n = 0; n < plan.queries.size(); ++n) {
    const Query& other = plan.queries[n];
    if (other.step != row.at().step || n == row.query) continue;
    if (has_q_of(row, n)) found.push_back({other.b, other.h, other.i, other.step});
  }
  return found;
}

/// The address at which q is read, where one explains all rows, the right ones among them.
std::string address_words(const std::vector<Row>& wrong, const std::vector<Row>& right) {
  const Layout layout = wrong.front().problem().layout;
  std::vector<const Row*> rows;
  for (const std::vector<Row>* all : {&wrong, &right})
    for (const Row& row : *all) {
      if (row.of->plan->c.cached() || row.problem().layout != layout) return "";
      rows.push_back(&row);
    }
  const std::string words =
      RowAddress::find(layout, RowsOf::queries, [&](const RowAddress& address) {
        return std::all_of(rows.begin(), rows.end(), [&](const Row* row) {
          const Problem& p = row->problem();
          const auto [b, h, i] =
              address.of(p, RowsOf::queries, {row->at().b, row->at().h, row->at().i});
          // Queries come by row, head and place.
          return b >= 0 && has_q_of(*row, static_cast<size_t>((b * p.num_heads + h) * p.q_len + i));
        });
      });
  return words.empty() ? "" : "The q of query i of head h in batch row b is read at row " + words;
}

}  // namespace

std::optional<std::string> explain_queries(const std::vector<Row>& wrong,
                                           const std::vector<Row>& right) {
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
    if (!holds) continue;
    const bool is_vague = &rule >= std::end(rules) - 2;
    const std::string found = fmt::format("{}", fmt::join(pairs, "; "));
    if (const std::string address = is_vague ? address_words(wrong, right) : ""; !address.empty())
      return fmt::format("{} ({}).", address, found);
    return fmt::format("The weights are those of another q: that {} ({}).", rule.words, found);
  }
  return {};
}

}  // namespace attnfuzz::measure
