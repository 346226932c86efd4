// A cached case's steps: what is asked of the cache, with their mutants.
#include <fmt/format.h>

#include <algorithm>

#include "targets/zoo/store.h"

namespace attnfuzz::zoo {
namespace {

constexpr Mutant table[] = {
    {"offset-zero", "a step's queries stand at the start of the cache", Kernel::dense_cache,
     "cache-offset-zero"},
    {"offset-in-heads", "the offset grows by shape[1], which is num_heads", Kernel::paged_cache,
     "cache-offset-in-heads"},
    {"offset-stale", "all queries of a step stand at its first's position", Kernel::dense_cache,
     "cache-offset-stale"},
    {"offset-one-more", "the queries stand one position too far", Kernel::paged_cache,
     "positions-one-more"},
    {"offset-one-less", "the queries stand one position early, at cached tokens",
     Kernel::dense_cache, "positions-one-less"},
    {"offset-of-first-row", "all rows go on where the first one does", Kernel::paged_cache,
     "cache-offset-of-first-row"},
    {"past-ignored", "a step attends to its own tokens alone", Kernel::dense_cache,
     "cache-past-ignored"},
    {"newest-missing", "the step's last token is not yet in the cache when it is read",
     Kernel::paged_cache, "cache-newest-missing"},
    {"oldest-missing", "the first cached token is skipped", Kernel::dense_cache,
     "cache-oldest-missing"},
    {"reorder-ignored", "beams are not reordered", Kernel::paged_cache, "reorder-ignored"},
    {"reorder-in-place", "rows are copied one after another into the same buffer",
     Kernel::dense_cache, "reorder-in-place"},
    {"reorder-inverse", "row rows[b] becomes row b", Kernel::paged_cache, "reorder-inverse"},
    {"reorder-first-row", "every row becomes the first beam's", Kernel::dense_cache,
     "reorder-first-row"},
    {"crop-ignored", "crop does nothing", Kernel::paged_cache, "crop-ignored length-stale"},
    {"crop-plus-one", "one token more than asked for stays", Kernel::dense_cache, "crop-plus-one"},
    {"crop-minus-one", "one token less than asked for stays", Kernel::paged_cache,
     "crop-minus-one"},
    {"crop-zero-ignored", "if (length) crop(length)", Kernel::dense_cache,
     "crop-zero-ignored crop-ignored"},
    {"crop-first-row", "only the first row is cropped", Kernel::paged_cache, "length-first-row"},
    {"reset-ignored", "reset does nothing", Kernel::dense_cache, "reset-ignored"},
    {"reset-first-row", "only the first row is emptied", Kernel::paged_cache, "length-first-row"},
    {"fork-ignored", "fork does nothing", Kernel::dense_cache, "fork-ignored"},
    {"fork-swapped", "from and to are swapped", Kernel::paged_cache, "fork-swapped"},
    {"evict-ignored", "evict does nothing", Kernel::dense_cache, "evict-ignored"},
    {"evict-positions", "the positions behind evicted tokens: the other convention",
     Kernel::paged_cache, "evict-positions"},
    {"evict-start-plus-one", "eviction begins one token late", Kernel::dense_cache,
     "evict-start-plus-one"},
    {"evict-count-minus-one", "one token less is evicted", Kernel::paged_cache,
     "evict-count-minus-one"},
    {"evict-first-row", "only the first row evicts", Kernel::dense_cache, "length-first-row"},
    {"lens-ignored", "a ragged step's padding is cached", Kernel::paged_cache, "lens-ignored"},
    {"side-ignored", "left padding is taken to be on the right", Kernel::dense_cache,
     "ragged-side-ignored"},
    {"lengths-not-advanced", "lengths are read before the step's tokens are in",
     Kernel::dense_cache, "length-stale"},
    {"lengths-padded", "lengths count the step's padding", Kernel::paged_cache,
     "length-padding lens-ignored"},
    {"lengths-of-step", "lengths are the step's own", Kernel::dense_cache, "length-replaced"},
    {"lengths-by-one", "lengths grow by one with every step", Kernel::paged_cache, "length-one"},
    {"lengths-in-heads", "lengths grow by shape[1], which is num_heads", Kernel::dense_cache,
     "length-heads"},
    {"lengths-capacity", "the capacity is reported as the length", Kernel::ring_cache,
     "length-capacity"},
    {"positions-lengths", "the ring goes on where its length says", Kernel::ring_cache, "position"},
};

/// Which row each row becomes.
std::vector<int64_t> reordered(const Context& x, const Step& step) {
  const Mutation& m = x.m;
  std::vector<int64_t> rows = step.rows;
  if (m.is("reorder-first-row"_line)) std::fill(rows.begin(), rows.end(), step.rows.front());
  if (m.is("reorder-inverse"_line))
    for (size_t b = 0; b < rows.size(); ++b)
      rows[static_cast<size_t>(step.rows[b])] = static_cast<int64_t>(b);
  return rows;
}

void reorder(const Context& x, const Step& step, Store& store) {
  if (x.m.is("reorder-ignored"_line)) return;
  const std::vector<int64_t> rows = reordered(x, step);
  store.hold();
  for (size_t b = 0; b < rows.size(); ++b) {
    store.copy_row(static_cast<int64_t>(b), rows[b]);
    if (x.m.is("reorder-in-place"_line)) store.hold();
  }
}

void crop(const Context& x, int64_t length, Store& store) {
  const Mutation& m = x.m;
  if (m.is("crop-ignored"_line)) return;
  if (m.is("crop-zero-ignored"_line) && length == 0) return;
  length += m.one("crop-plus-one"_line) - (length > 0 ? m.one("crop-minus-one"_line) : 0);
  const int64_t rows = m.is("crop-first-row"_line) ? 1 : x.problem.batch;
  for (int64_t b = 0; b < std::min(rows, x.problem.batch); ++b) store.crop(b, length);
}

void reset(const Context& x, Store& store) {
  if (x.m.is("reset-ignored"_line)) return;
  const int64_t rows = x.m.is("reset-first-row"_line) ? 1 : x.problem.batch;
  for (int64_t b = 0; b < std::min(rows, x.problem.batch); ++b) store.reset(b);
}

void fork(const Context& x, const Step& step, Store& store) {
  if (x.m.is("fork-ignored"_line)) return;
  const bool swapped = x.m.is("fork-swapped"_line);
  store.hold();
  store.copy_row(swapped ? step.from : step.to, swapped ? step.to : step.from);
}

void evict(const Context& x, const Step& step, Store& store) {
  const Mutation& m = x.m;
  if (m.is("evict-ignored"_line)) return;
  const int64_t rows = m.is("evict-first-row"_line) ? 1 : x.problem.batch;
  for (int64_t b = 0; b < std::min(rows, x.problem.batch); ++b) {
    Step mine = step;
    mine.start += m.one("evict-start-plus-one"_line);
    mine.count -= m.one("evict-count-minus-one"_line);
    store.evict(b, mine.start, mine.evicted(store.length(b)));
  }
}

void change(const Context& x, const Step& step, Store& store) {
  if (step.op == StepOp::reorder) reorder(x, step, store);
  if (step.op == StepOp::crop) crop(x, step.length, store);
  if (step.op == StepOp::reset) reset(x, store);
  if (step.op == StepOp::fork) fork(x, step, store);
  if (step.op == StepOp::evict) evict(x, step, store);
}

/// What the step at hand looks like for one row.
struct Turn {
  const Step& step;
  size_t number;
  int64_t b, past;  ///< past: position of the row's first new token
};

int64_t query_position(const Context& x, const Turn& turn, int64_t i, const Store& before) {
  const Mutation& m = x.m;
  if (m.is("offset-zero"_line)) return i;
  if (m.is("offset-in-heads"_line))
    return i + static_cast<int64_t>(turn.number) * x.problem.num_heads;
  if (m.is("offset-stale"_line)) return turn.past;
  if (m.is("offset-of-first-row"_line) && turn.b > 0)
    return i + before.next(0) - turn.step.real_tokens(0);
  return turn.past + i + m.one("offset-one-more"_line) - m.one("offset-one-less"_line);
}

void hide(const Context& x, const Turn& turn, std::vector<Key>& keys) {
  const Mutation& m = x.m;
  int64_t newest = -1, oldest = -1;
  for (const Key& key : keys) {
    if (key.memory) continue;
    if (oldest < 0) oldest = key.j;
    newest = key.j;
  }
  for (Key& key : keys) {
    if (key.memory) continue;
    if (m.is("past-ignored"_line) && key.position < turn.past) key.hidden = true;
    if (m.is("newest-missing"_line) && key.j == newest) key.hidden = true;
    if (m.is("oldest-missing"_line) && key.j == oldest) key.hidden = true;
  }
}

Tensor attend_step(const Context& x, const Step& step, size_t number, const Inputs& inputs,
                   Store& store) {
  const Problem& p = x.problem;
  const auto input = [&](std::string_view name) {
    return Operand(p.layout, inputs.at(fmt::format("{}.{}", name, number)));
  };
  const Operand q = input("q"), k = input("k"), v = input("v");
  const Shape shape = shape_in(p.layout, p.batch, p.num_heads, step.q_len, p.head_dim_v);
  Operand out(p.layout, shape);
  std::vector<Turn> turns;
  for (int64_t b = 0; b < p.batch; ++b) {
    const auto at = static_cast<size_t>(b);
    const int64_t first = x.m.is("side-ignored"_line) ? 0 : step.first_real(at);
    const int64_t real = x.m.is("lens-ignored"_line) ? step.q_len : step.real_tokens(at);
    turns.push_back({step, number, b, store.next(b)});
    store.append({k, v, b, x.m.is("lens-ignored"_line) ? 0 : first, real});
  }
  std::vector<Key> keys;
  for (const Turn& turn : turns) {
    const int64_t b = turn.b;
    const auto at = static_cast<size_t>(b);
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < step.real_tokens(at); ++i) {
        keys.clear();
        add_memory(x, p.kv_head(h), keys);
        store.keys(b, key_head(x, h), keys);
        hide(x, turn, keys);
        const int64_t q_pos = query_position(x, turn, i, store);
        if (store.reach() > 0)
          for (Key& key : keys)
            if (!key.memory && key.position <= q_pos - store.reach()) key.hidden = true;
        const int64_t at_query = step.first_real(at) + i;
        attend(x, b, h, i, q_pos, q.at(b, h, at_query), keys, out.at(b, h, at_query));
      }
  }
  store.settle();
  return to_tensor(x, out, shape);
}

/// What the cache says of a row.
int64_t told_length(const Context& x, const Turn& turn, int64_t before, const Store& store) {
  const Mutation& m = x.m;
  const int64_t length = store.length(turn.b);
  if (m.is("lengths-capacity"_line)) return store.capacity();
  if (!turn.step.has_tokens()) return length;
  if (m.is("lengths-not-advanced"_line)) return before;
  if (m.is("lengths-padded"_line)) return before + turn.step.q_len;
  if (m.is("lengths-of-step"_line)) return turn.step.real_tokens(static_cast<size_t>(turn.b));
  if (m.is("lengths-by-one"_line)) return before + 1;
  if (m.is("lengths-in-heads"_line)) return before + x.problem.num_heads;
  return length;
}

}  // namespace

void run_cached(const Context& x, const Case& c, const Inputs& inputs,
                std::vector<StepOutput>& steps) {
  const std::unique_ptr<Store> store = make_store(x, *c.cache);
  for (size_t n = 0; n < c.steps.size(); ++n) {
    const Step& step = c.steps[n];
    StepOutput output;
    std::vector<int64_t> before;
    for (int64_t b = 0; b < x.problem.batch; ++b) before.push_back(store->length(b));
    if (step.has_tokens())
      output.out = attend_step(x, step, n, inputs, *store);
    else
      change(x, step, *store);
    for (int64_t b = 0; b < x.problem.batch; ++b) {
      const Turn turn{step, n, b, 0};
      output.lengths.push_back(told_length(x, turn, before[static_cast<size_t>(b)], *store));
      output.positions.push_back(x.m.is("positions-lengths"_line) ? store->length(b)
                                                                  : store->next(b));
    }
    output.capacity = c.cache->capacity;
    steps.push_back(std::move(output));
  }
}

std::span<const Mutant> step_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
