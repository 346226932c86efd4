#include "reports/show_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "oracle/lower/plan.h"
#include "oracle/lower/visible.h"
#include "reports/show.h"
#include "reports/show_steps.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

constexpr int64_t most_queries = 48;

/// "4", "0–4".
std::string range(int64_t first, int64_t count) {
  return count == 1 ? std::to_string(first) : fmt::format("{}–{}", first, first + count - 1);
}

std::string tokens_text(const Case& c, const Token& token, int64_t count) {
  if (token == no_token) return "zeros";
  return fmt::format("{} of {}row {}", range(token.i, count),
                     c.cached() ? fmt::format("step {}, ", token.step) : "", token.row);
}

/// "keys 0–4: tokens 0–4 of row 0, at positions 0–4".
std::string key_line(const Case& c, const KeyRun& run, int64_t number) {
  const KeyEntry& first = run.first;
  std::string from = "tokens " + tokens_text(c, first.key, run.count);
  if (!(first.value == first.key))
    from =
        fmt::format("keys of tokens {}, values of tokens {}", tokens_text(c, first.key, run.count),
                    tokens_text(c, first.value, run.count));
  std::string line = fmt::format("keys {}: {}, at positions {}", range(number, run.count), from,
                                 range(first.position, run.count));
  if (c.problem.rope != Rope::none)
    line += fmt::format(", rotated by {}", range(first.angle, run.count));
  return line;
}

std::string query_line(const Case& c, const QueryRun& run) {
  std::string line = fmt::format("queries {}: at positions {}", range(run.i, run.count),
                                 range(run.position, run.count));
  if (c.problem.recurrent())
    line = fmt::format("queries {}: read the state after keys {}", range(run.i, run.count),
                       range(run.position, run.count));
  if (c.problem.rope != Rope::none)
    line += fmt::format(", rotated by {}", range(run.angle, run.count));
  return line;
}

/// One batch row of one step.
class RowText {
 public:
  RowText(const Case& c, size_t step, int64_t b, const RowPlan& row) : c_(c), step_(step), b_(b) {
    for (const KeyEntry& entry : row.entries()) positions_.push_back(entry.position);
    for (const QueryRun& run : row.queries)
      for (int64_t n = 0; n < run.count; ++n) queries_.push_back({run.i + n, run.position + n});
  }

  /// A line for each query, of heads that see the same: "heads 0–3, query 2 sees keys at 0–2".
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    const auto count = static_cast<int64_t>(queries_.size());
    const int64_t half = count > most_queries ? most_queries / 2 : count;
    for (int64_t n = 0; n < count; ++n) {
      if (n == half && count > 2 * half) {
        lines.push_back(fmt::format("… and {} more queries …", count - 2 * half));
        n = count - half;
      }
      add_query(n, lines);
    }
    return lines;
  }

 private:
  struct Query {
    int64_t i, position;
  };

  void add_query(int64_t nth, std::vector<std::string>& lines) const {
    const int64_t heads = c_.problem.num_heads;
    if (heads == 0) return;
    std::string same = seen(nth, 0);
    for (int64_t h = 0, end = 1; h < heads; h = end++) {
      std::string next;
      while (end < heads && (next = seen(nth, end)) == same) ++end;
      const std::string of_heads =
          h == 0 && end == heads
              ? ""
              : fmt::format(" of head{} {}", end - h > 1 ? "s" : "", range(h, end - h));
      lines.push_back(
          fmt::format("query {}{} sees {}", queries_[static_cast<size_t>(nth)].i, of_heads, same));
      same = next;
    }
  }

  /// "the keys at 0–2, 5".
  std::string seen(int64_t nth, int64_t h) const {
    std::vector<uint8_t> visible(positions_.size());
    std::vector<double> bias(c_.problem.mask.adds_bias() ? positions_.size() : 0);
    show_keys(c_, {step_, b_, h, nth, queries_[static_cast<size_t>(nth)].position}, positions_,
              {visible, bias});
    std::vector<int64_t> shown;
    for (size_t j = 0; j < visible.size(); ++j)
      if (visible[j] != 0) shown.push_back(positions_[j]);
    return shown.empty() ? "no key" : "the keys at " + runs_text(shown);
  }

  const Case& c_;
  size_t step_;
  int64_t b_;
  std::vector<int64_t> positions_;
  std::vector<Query> queries_;
};

std::string row_text(const Case& c, size_t s, int64_t b, const RowPlan& row) {
  std::string out = fmt::format("  row {}:{}\n", b,
                                row.keys.empty() && row.queries.empty() ? " nothing is read" : "");
  int64_t number = 0;
  for (const KeyRun& run : row.keys) {
    out += fmt::format("    {}\n", key_line(c, run, number));
    number += run.count;
  }
  for (const QueryRun& run : row.queries) out += fmt::format("    {}\n", query_line(c, run));
  if (!row.starts.empty() && row.starts != std::vector<int64_t>{0})
    out +=
        fmt::format("    the state begins at zero before keys {}\n", fmt::join(row.starts, ", "));
  if (c.problem.recurrent()) return out;
  for (const std::string& line : RowText(c, s, b, row).lines())
    out += fmt::format("      {}\n", line);
  return out;
}

/// What all rows have: memory keys, stored types.
std::string common_text(const Case& c) {
  const Problem& p = c.problem;
  std::string out;
  if (p.num_heads != p.num_kv_heads && p.num_kv_heads > 0) {
    std::vector<int64_t> heads;
    for (int64_t h = 0; h < p.num_heads; ++h) heads.push_back(p.kv_head(h));
    out += fmt::format("Query heads 0–{} read KV heads [{}].\n", p.num_heads - 1,
                       fmt::join(heads, ", "));
  }
  if (p.memory_kv > 0)
    out += fmt::format("Every query sees the {} too, from mem_k and mem_v.\n",
                       text::count(p.memory_kv, "memory key"));
  if (c.cached() && c.cache->quant != Quant::none)
    out += fmt::format("Keys and values are read as {} stores them, with a scale for each {}.\n",
                       name(c.cache->quant),
                       c.cache->scales == Scales::token ? "token and head" : "head");
  return out;
}

std::string after_text(const StepPlan& step) {
  std::string out = fmt::format("  the cache then holds [{}] tokens; the next positions are [{}]",
                                fmt::join(step.lengths, ", "), fmt::join(step.positions, ", "));
  if (step.capacity > 0) out += fmt::format("; it has room for {} a row", step.capacity);
  return out + "\n";
}

}  // namespace

std::string plan_text(const Case& c) {
  std::string out = common_text(c);
  const Plan plan = lower(c);
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    const StepPlan& step = plan.steps[s];
    if (c.cached()) out += fmt::format("step {}: {}\n", s, step_text(c.steps[s]));
    const bool reads = !c.cached() || c.steps[s].has_tokens();
    for (size_t b = 0; reads && b < step.rows.size(); ++b)
      out += row_text(c, s, static_cast<int64_t>(b), step.rows[b]);
    if (c.cached()) out += after_text(step);
  }
  return out;
}

}  // namespace attnfuzz
