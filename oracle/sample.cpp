#include "oracle/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "oracle/philox.h"
#include "oracle/sample_keys.h"
#include "oracle/work.h"

namespace attnfuzz {
namespace {

constexpr double rows_multiplications = 0x1p28;  ///< what the judged rows of a case may cost
constexpr int64_t least_rows = 16, most_rows = 64, least_pairs = 4;
/// Tile sizes of most kernels, for want of the target's own.
constexpr int64_t standard_tiles[] = {64, 128, 16, 32, 256};
constexpr uint32_t draw_tensor = 0xFFFFFFF0;     // no tensor of a case has this number
constexpr double keys_multiplications = 0x1p29;  ///< what the judged keys of a case may cost
constexpr int64_t most_keys = 32;
constexpr size_t keys_step = 0xFFF;  ///< stands for a step where keys are drawn

/// Numbers that follow from the case's seed and the step.
class Draws {
 public:
  Draws(const Case& c, size_t step) : seed_(c.data.seed), step_(step) {}
  int64_t below(int64_t limit) {
    const uint64_t bits =
        element_bits(seed_, draw_tensor, element_index(0, step_ & 0xFFF, count_++, 0));
    return static_cast<int64_t>(bits % static_cast<uint64_t>(limit));
  }

 private:
  uint64_t seed_, step_, count_ = 0;
};

/// The first `most` different ones of those that are added.
template <class T>
class Chosen {
 public:
  explicit Chosen(int64_t most) : most_(static_cast<size_t>(most)) {}
  bool full() const { return values_.size() >= most_; }
  void add(const T& value) {
    if (!full()) values_.insert(value);
  }
  std::vector<T> sorted() const { return {values_.begin(), values_.end()}; }

 private:
  size_t most_;
  std::set<T> values_;
};

/// Sizes after which something begins anew or ends, that the case tells: pages, capacities, windows
/// and chunks.
std::vector<int64_t> told_tiles(const Case& c) {
  std::vector<int64_t> tiles;
  if (c.cached())
    for (const int64_t size : {c.cache->page_size, c.cache->capacity})
      if (size > 1) tiles.push_back(size);
  for (const RuleUse& use : c.problem.mask.rules)
    for (size_t k = 0; k < use.values.size(); ++k) {
      if (use.spec->params[k].kind == RuleParam::Kind::integer && use.integer(k) > 1)
        tiles.push_back(use.integer(k));
      using Kind = RuleParam::Kind;
      const Kind kind = use.spec->params[k].kind;
      if (kind != Kind::lengths && kind != Kind::q_lens && kind != Kind::kv_lens) continue;
      int64_t end = 0;
      for (const int64_t length : use.list(k)) tiles.push_back(end += length);
    }
  return tiles;
}

/// Of `len` rows, `told` the tiles that the case tells; row 0 stands at `first_position`.
std::vector<int64_t> draw_rows(int64_t len, int64_t count, const std::vector<int64_t>& told,
                               int64_t first_position, Draws& draws) {
  Chosen<int64_t> chosen(std::min(count, len));
  const auto add = [&](int64_t row) {
    if (row >= 0 && row < len) chosen.add(row);
  };
  const auto add_edge = [&](int64_t edge) {
    add(edge - 1);
    add(edge);
  };
  add(0);
  add(len - 1);
  std::vector<int64_t> tiles(std::begin(standard_tiles), std::end(standard_tiles));
  for (const int64_t tile : told) {
    add_edge(tile);
    add_edge(tile - first_position);
    if (tile < len) tiles.push_back(tile);
  }
  for (const int64_t tile : standard_tiles) add_edge(tile);
  for (const int64_t tile : tiles) add_edge((len - 1) / tile * tile);  // the last tile, partial
  while (!chosen.full()) {
    const int64_t tile = tiles[static_cast<size_t>(draws.below(std::ssize(tiles)))];
    if (draws.below(2) == 0) add_edge((1 + draws.below((len + tile - 1) / tile)) * tile);
    add(draws.below(len));
  }
  return chosen.sorted();
}

/// `other`: a head of another group than head 0's, or 0.
std::vector<RowSample::BatchHead> draw_heads(int64_t batch, int64_t heads, int64_t other,
                                             int64_t count, Draws& draws) {
  const int64_t pairs = batch * heads;
  Chosen<RowSample::BatchHead> chosen(std::min(count, pairs));
  chosen.add({0, 0});
  chosen.add({batch - 1, heads - 1});
  chosen.add({0, other});
  if (count >= pairs)
    for (int64_t n = 0; n < pairs; ++n) chosen.add({n / heads, n % heads});
  while (!chosen.full()) chosen.add({draws.below(batch), draws.below(heads)});
  return chosen.sorted();
}

int64_t second_group(const Problem& p) {
  for (int64_t h = 0; h < p.num_heads; ++h)
    if (p.kv_head(h) != p.kv_head(0)) return h;
  return 0;
}

RowSample draw(const Case& c, const StepSize& size, double budget, size_t step) {
  const Problem& p = c.problem;
  Draws draws(c, step);
  const int64_t pairs = p.batch * p.num_heads;
  const auto affordable = static_cast<int64_t>(budget / size.of_row(p));
  const int64_t total = std::max(affordable, 2 * least_rows);
  const int64_t rows =
      std::min(size.q_len, std::clamp(total / pairs, std::min(least_rows, total), most_rows));
  RowSample sample;
  sample.of_heads = pairs;
  sample.of_rows = size.q_len;
  sample.rows = draw_rows(size.q_len, rows, told_tiles(c), size.first_position, draws);
  sample.heads = draw_heads(p.batch, p.num_heads, second_group(p),
                            std::max(total / std::max<int64_t>(1, rows), least_pairs), draws);
  return sample;
}

}  // namespace

int64_t RowSample::find(int64_t b, int64_t h, int64_t row) const {
  const auto head = std::lower_bound(heads.begin(), heads.end(), BatchHead{b, h});
  const auto at = std::lower_bound(rows.begin(), rows.end(), row);
  if (head == heads.end() || *head != BatchHead{b, h} || at == rows.end() || *at != row) return -1;
  return (head - heads.begin()) * std::ssize(rows) + (at - rows.begin());
}

Sample sample_of(const Case& c) {
  if (c.problem.recurrent()) return {};
  if (work(c) <= most_multiplications) return {};
  const std::vector<StepSize> sizes = step_sizes(c);
  const auto with_tokens = static_cast<double>(std::count_if(
      sizes.begin(), sizes.end(), [](const StepSize& size) { return size.q_len > 0; }));
  Sample sample(sizes.size());
  for (size_t step = 0; step < sizes.size(); ++step)
    if (sizes[step].of_all(c.problem) > most_multiplications / with_tokens)
      sample[step] = draw(c, sizes[step], rows_multiplications / with_tokens, step);
  return sample;
}

RowSample sample_keys(const Case& c) {
  const Problem& p = c.problem;
  Draws draws(c, keys_step);
  const double of_head = StepSize{p.q_len, p.memory_kv + p.kv_len}.of_all(p) /
                         static_cast<double>(p.batch * p.num_kv_heads);
  const int64_t affordable =
      of_head > 0 ? static_cast<int64_t>(std::min(keys_multiplications / of_head, 0x1p24)) : 0;
  RowSample sample;
  sample.of_heads = p.batch * p.num_kv_heads;
  sample.of_rows = p.kv_len;
  sample.rows = draw_rows(p.kv_len, most_keys, {}, 0, draws);
  sample.heads = draw_heads(p.batch, p.num_kv_heads, std::min<int64_t>(1, p.num_kv_heads - 1),
                            std::max<int64_t>(1, affordable), draws);
  return sample;
}

std::string words_of(const RowSample& sample) {
  constexpr size_t most_named = 12;
  std::string rows;
  for (size_t n = 0; n < std::min(most_named, sample.rows.size()); ++n)
    rows += fmt::format("{}{}", n == 0 ? "" : ", ", sample.rows[n]);
  if (sample.rows.size() > most_named) rows += fmt::format(", … {}", sample.rows.back());
  std::string words =
      fmt::format("{} of {} query rows: {}", sample.rows.size(), sample.of_rows, rows);
  if (std::ssize(sample.heads) < sample.of_heads)
    words += fmt::format("; in {} of {} heads of the batch", sample.heads.size(), sample.of_heads);
  return words;
}

}  // namespace attnfuzz
