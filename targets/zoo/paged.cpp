// A cache in pages, with its mutants.
#include <algorithm>
#include <deque>
#include <stdexcept>

#include "targets/zoo/store.h"

namespace attnfuzz::zoo {
namespace {

constexpr Mutant table[] = {
    {"paged-table-of-first-row", "all rows read the first one's block table", Kernel::paged_cache,
     "kv-first-row"},
    {"paged-no-copy-on-write", "a shared page is written without being copied", Kernel::paged_cache,
     "fork-shares-page"},
    {"paged-copy-keys-only", "copying a shared page leaves out the values", Kernel::paged_cache,
     "fork-page-without-values"},
    {"paged-tail-missing", "length / page_size pages, rounded down", Kernel::paged_cache,
     "cache-tail-page-missing"},
    {"paged-tail-full", "the last page is read to its end", Kernel::paged_cache, "empty-slot-seen"},
    {"paged-table-reversed", "the block table is read from the last page", Kernel::paged_cache,
     "cache-table-reversed"},
    {"paged-users-not-counted", "forking does not count the page's new user", Kernel::paged_cache,
     "fork-shares-page"},
};

/// Pages [heads, page_size, dim], shared by rows until one of them writes (Kwon et al. 2023).
class Paged : public Store {
 public:
  Paged(const Context& context, const Cache& of)
      : Store(context, of), tables_(static_cast<size_t>(x.problem.batch)) {
    const int64_t pages = x.problem.batch * pages_for(cache.capacity) + 2;
    users_.resize(static_cast<size_t>(pages));
    for (int64_t page = 0; page < pages; ++page) free_.push_back(page);
    resize(pages * page_slots());
  }

  void append(const NewTokens& tokens) override {
    if (count(tokens.b) + tokens.count > cache.capacity)
      throw std::length_error("the cache is full");
    for (int64_t i = 0; i < tokens.count; ++i) {
      const int64_t n = count(tokens.b);
      row(tokens.b).positions.push_back(row(tokens.b).next++);
      make_own(tokens.b, n);
      for (int64_t g = 0; g < x.problem.num_kv_heads; ++g)
        write(slot(tokens.b, n, g), tokens.k.at(tokens.b, g, tokens.first + i),
              tokens.v.at(tokens.b, g, tokens.first + i));
    }
  }

  void keys(int64_t b, int64_t g, std::vector<Key>& to) const override {
    const Mutation& m = x.m;
    int64_t tokens = count(b);
    if (m.is("paged-tail-missing"_line) && tokens > cache.page_size)
      tokens = tokens / cache.page_size * cache.page_size;
    if (m.is("paged-tail-full"_line)) tokens = pages_for(tokens) * cache.page_size;
    const bool of_first = m.is("paged-table-of-first-row"_line);
    const std::vector<int64_t>& pages = tables_[of_first ? 0 : static_cast<size_t>(b)];
    const int64_t last = count(b) - 1;
    for (int64_t n = 0; n < tokens; ++n) {
      int64_t from = n;
      if (m.is("paged-table-reversed"_line))
        from = (static_cast<int64_t>(pages.size()) - 1 - n / cache.page_size) * cache.page_size +
               n % cache.page_size;
      const int64_t at = slot_in(pages, from, g);
      to.push_back({.k = k_at(at),
                    .v = v_at(at),
                    .j = n,
                    .position = row(b).positions[static_cast<size_t>(std::min(n, last))] +
                                std::max<int64_t>(0, n - last)});
    }
  }

  void hold() override {
    held_rows_ = rows;
    held_tables_ = tables_;
  }
  void copy_row(int64_t to, int64_t from) override {
    const std::vector<int64_t> mine = table(to);
    table(to) = held_tables_[static_cast<size_t>(from)];
    row(to) = held_rows_[static_cast<size_t>(from)];
    for (const int64_t page : table(to)) users(page) += 1 - x.m.one("paged-users-not-counted"_line);
    // What the row had is let go when no row that is still to be copied needs it.
    given_back_.insert(given_back_.end(), mine.begin(), mine.end());
  }
  void settle() override { give_back(); }

 private:
  int64_t pages_for(int64_t tokens) const {
    return (tokens + cache.page_size - 1) / cache.page_size;
  }
  int64_t page_slots() const { return x.problem.num_kv_heads * cache.page_size; }
  std::vector<int64_t>& table(int64_t b) { return tables_[static_cast<size_t>(b)]; }
  int64_t& users(int64_t page) { return users_[static_cast<size_t>(page)]; }

  int64_t slot_in(const std::vector<int64_t>& pages, int64_t n, int64_t g) const {
    const auto place = static_cast<size_t>(n / cache.page_size);
    const int64_t page = place < pages.size() ? pages[place] : 0;
    return page * page_slots() + g * cache.page_size + n % cache.page_size;
  }
  int64_t slot(int64_t b, int64_t n, int64_t g) const override {
    return slot_in(tables_[static_cast<size_t>(b)], n, g);
  }

  int64_t take() {
    give_back();
    const int64_t page = free_.front();
    free_.pop_front();
    users(page) = 1;
    return page;
  }
  void give_back() {
    for (const int64_t page : given_back_)
      if (--users(page) == 0) free_.push_back(page);
    given_back_.clear();
  }

  void make_own(int64_t b, int64_t n) override {
    give_back();
    const auto place = static_cast<size_t>(n / cache.page_size);
    if (place >= table(b).size()) return table(b).push_back(take());
    const int64_t page = table(b)[place];
    if (users(page) == 1 || x.m.is("paged-no-copy-on-write"_line)) return;
    --users(page);
    const int64_t own = table(b)[place] = take();
    for (int64_t at = 0; at < page_slots(); ++at)
      write(own * page_slots() + at, k_at(page * page_slots() + at),
            v_at((x.m.is("paged-copy-keys-only"_line) ? own : page) * page_slots() + at));
  }

  void release(int64_t b) override {
    for (; static_cast<int64_t>(table(b).size()) > pages_for(count(b)); table(b).pop_back())
      if (--users(table(b).back()) == 0) free_.push_back(table(b).back());
  }

  std::vector<std::vector<int64_t>> tables_, held_tables_;
  std::vector<Row> held_rows_;
  std::vector<int64_t> users_, given_back_;
  std::deque<int64_t> free_;  ///< the longest free first
};

}  // namespace

std::unique_ptr<Store> make_paged_store(const Context& x, const Cache& cache) {
  return std::make_unique<Paged>(x, cache);
}

std::span<const Mutant> paged_mutants() {
  return table;
}

}  // namespace attnfuzz::zoo
