#include "reports/show_steps.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "oracle/lower/cache_history.h"
#include "reports/text.h"

namespace attnfuzz {
namespace {

using Numbers = std::vector<int64_t>;

/// Block tables as a cache with copy on write has them: pages are numbered as they are taken.
class BlockTables {
 public:
  BlockTables(int64_t batch, int64_t page_size)
      : page_size_(page_size), rows_(static_cast<size_t>(batch)) {}

  /// `lengths` before and after the step.
  void follow(const Step& step, const Numbers& before, const Numbers& after) {
    const std::vector<Numbers> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b) {
      if (step.op == StepOp::reorder) rows_[b] = old[static_cast<size_t>(step.rows[b])];
      if (step.op == StepOp::fork && static_cast<int64_t>(b) == step.to)
        rows_[b] = old[static_cast<size_t>(step.from)];
    }
    for (size_t b = 0; b < rows_.size(); ++b) {
      const bool writes = step.has_tokens() && after[b] > before[b];
      const bool moves = step.op == StepOp::evict && after[b] < before[b];
      rows_[b].resize(std::min(rows_[b].size(), pages(after[b])));
      if (writes && before[b] % page_size_ != 0) own(rows_[b].back());
      for (size_t n = static_cast<size_t>(step.start / page_size_); moves && n < rows_[b].size();
           ++n)
        own(rows_[b][n]);
      while (rows_[b].size() < pages(after[b])) rows_[b].push_back(next_++);
    }
  }

  const Numbers& row(size_t b) const { return rows_[b]; }

 private:
  size_t pages(int64_t tokens) const {
    return static_cast<size_t>((tokens + page_size_ - 1) / page_size_);
  }
  void own(int64_t& page) {
    int64_t users = 0;
    for (const Numbers& row : rows_) users += std::count(row.begin(), row.end(), page);
    if (users > 1) page = next_++;
  }

  int64_t page_size_, next_ = 0;
  std::vector<Numbers> rows_;
};

std::string cache_words(const Cache& cache) {
  std::string words = fmt::format("Cache: {}", name(cache.kind));
  if (cache.capacity > 0)
    words += fmt::format(", capacity {}", text::count(cache.capacity, "token"));
  if (cache.page_size > 0) words += fmt::format(", pages of {}", cache.page_size);
  if (cache.keep > 0) words += fmt::format(", of which the first {}", cache.keep);
  if (cache.quant != Quant::none)
    words += fmt::format(", held as {} with a scale for each {}", name(cache.quant),
                         cache.scales == Scales::token ? "token and head" : "head");
  return words;
}

std::string row_words(const Cache& cache, const Numbers& held, const Numbers& pages) {
  if (held.empty()) return "empty";
  if (cache.page_size == 0) return runs_text(held);
  std::vector<std::string> parts;
  for (size_t n = 0; n < pages.size(); ++n) {
    const auto size = static_cast<size_t>(cache.page_size);
    const auto begin = n * size;
    parts.push_back(fmt::format(
        "page {}: {}", pages[n],
        runs_text(std::span(held).subspan(begin, std::min(size, held.size() - begin)))));
  }
  return fmt::format("{}", fmt::join(parts, " | "));
}

}  // namespace

std::string runs_text(std::span<const int64_t> positions) {
  std::vector<std::string> parts;
  for (size_t j = 0; j < positions.size();) {
    size_t end = j + 1;
    while (end < positions.size() && positions[end] == positions[end - 1] + 1) ++end;
    parts.push_back(end - j == 1 ? std::to_string(positions[j])
                                 : fmt::format("{}–{}", positions[j], positions[end - 1]));
    j = end;
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string step_text(const Step& step) {
  std::string words(name(step.op));
  if (step.has_tokens() && step.kv_len)
    words += fmt::format(" {} on {}",
                         step.q_len == 1 ? "1 query" : fmt::format("{} queries", step.q_len),
                         *step.kv_len > 0 ? text::count(*step.kv_len, "new key") : "the same keys");
  else if (step.has_tokens())
    words += " " + text::count(step.q_len, "token");
  if (!step.lens.empty())
    words += fmt::format(", of which real [{}]{}", fmt::join(step.lens, ", "),
                         step.side == Side::left ? " behind padding" : "");
  if (!step.rows.empty()) words += fmt::format(" to rows [{}]", fmt::join(step.rows, ", "));
  if (step.op == StepOp::crop) words += " to " + text::count(step.length, "token");
  if (step.op == StepOp::fork) words += fmt::format(" row {} to row {}", step.from, step.to);
  if (step.op == StepOp::evict)
    words += fmt::format(" {} from slot {} on", text::count(step.count, "token"), step.start);
  return words;
}

std::string timeline(const Case& c) {
  const Cache& cache = *c.cache;
  const bool evicts = std::any_of(c.steps.begin(), c.steps.end(),
                                  [](const Step& step) { return step.op == StepOp::evict; });
  std::string words = cache_words(cache);
  if (evicts)
    words += cache.positions == Positions::kept ? "; tokens behind an eviction keep their positions"
                                                : "; tokens behind an eviction move up";
  words += ". Steps:\n";
  CacheHistory model(c);
  BlockTables tables(c.problem.batch, std::max<int64_t>(1, cache.page_size));
  Numbers before(static_cast<size_t>(c.problem.batch), 0);
  for (size_t s = 0; s < c.steps.size(); ++s) {
    model.apply(s);
    const Numbers lengths = model.lengths(), next = model.next_positions();
    tables.follow(c.steps[s], before, lengths);
    words += fmt::format("  - step {}: {} → lengths [{}]", s, step_text(c.steps[s]),
                         fmt::join(lengths, ", "));
    if (next != lengths) words += fmt::format(", next positions [{}]", fmt::join(next, ", "));
    words += "\n";
    for (size_t b = 0; b < before.size(); ++b)
      words += fmt::format(
          "      row {}: {}\n", b,
          row_words(cache, model.held_positions(static_cast<int64_t>(b)), tables.row(b)));
    before = lengths;
  }
  return words;
}

}  // namespace attnfuzz
