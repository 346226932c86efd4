#include "oracle/cache_model.h"

#include <algorithm>
#include <utility>

namespace attnfuzz {
namespace {

using Sees = bool (*)(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g);

bool sees_all(const Cache&, int64_t, int64_t, int64_t) {
  return true;
}
bool sees_last(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos > q_pos - cache.capacity;
}
bool sees_chunk(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos / cache.capacity >= q_pos / cache.capacity;
}
bool sees_by_head(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t g) {
  return g % 2 == 0 || sees_last(cache, q_pos, key_pos, g);
}
bool sees_first_and_last(const Cache& cache, int64_t q_pos, int64_t key_pos, int64_t) {
  return key_pos < cache.keep || key_pos > q_pos - (cache.capacity - cache.keep);
}

/// By kind.
constexpr Sees table[] = {
    sees_all, sees_all, sees_all, sees_last, sees_chunk, sees_by_head, sees_first_and_last,
    sees_all};
static_assert(std::size(table) == names_of<CacheKind>.size());

}  // namespace

CacheModel::CacheModel(const Case& c)
    : case_(c),
      rows_(static_cast<size_t>(c.problem.batch)),
      room_(c.cache ? c.cache->capacity : 0) {}

bool CacheModel::sees(int64_t q_pos, int64_t key_pos, int64_t g) const {
  return table[static_cast<size_t>(case_.cache->kind)](*case_.cache, q_pos, key_pos, g);
}

/// Not even the newest token's query saw it. Head 0 is one that keeps most.
bool CacheModel::is_forgotten(const Row& row, int64_t position) const {
  return !sees(row.next - 1, position, 0);
}

std::vector<int64_t> CacheModel::held_positions(int64_t b) const {
  std::vector<int64_t> held = row(b).positions;
  std::erase_if(held, [&](int64_t position) { return is_forgotten(row(b), position); });
  return held;
}

void CacheModel::forget(Row& row) const {
  if (!case_.cache->forgets()) return;
  size_t kept = 0;
  for (size_t j = 0; j < row.tokens.size(); ++j) {
    if (is_forgotten(row, row.positions[j])) continue;
    row.tokens[kept] = row.tokens[j];
    row.origins[kept] = row.origins[j];
    row.positions[kept++] = row.positions[j];
  }
  row.tokens.resize(kept);
  row.origins.resize(kept);
  row.positions.resize(kept);
}

void CacheModel::crop(Row& row, int64_t length) const {
  const auto stay = static_cast<size_t>(length);
  if (stay >= row.tokens.size()) return;
  row.next = row.positions[stay];
  row.tokens.resize(stay);
  row.origins.resize(stay);
  row.positions.resize(stay);
}

void CacheModel::evict(Row& row, const Step& step) const {
  const int64_t count = step.evicted(static_cast<int64_t>(row.tokens.size()));
  if (count == 0) return;
  for (size_t to = static_cast<size_t>(step.start), from = to + static_cast<size_t>(count);
       read().of_slots() && from < row.tokens.size(); ++to, ++from) {
    row.slot_k[to] = row.slot_k[from];
    if (!read().values_stay_in_slot) row.slot_v[to] = row.slot_v[from];
  }
  const auto erase = [&](auto& from) {
    from.erase(from.begin() + step.start, from.begin() + step.start + count);
  };
  erase(row.tokens);
  erase(row.origins);
  erase(row.positions);
  if (case_.cache->positions == Positions::kept) return;
  for (size_t j = 0; j < row.positions.size(); ++j) {
    row.origins[j].last_move = static_cast<int64_t>(j) - row.positions[j];
    row.positions[j] = static_cast<int64_t>(j);
  }
  row.next = static_cast<int64_t>(row.positions.size());
}

Place CacheModel::place(int64_t b, size_t j) const {
  const Row& held = row(b);
  const Origin& from = held.origins[j];
  return {held.positions[j], from.born, from.first,
          from.last_move,    b,         held.tokens[j].step == static_cast<int64_t>(step_)};
}

size_t CacheModel::slot_of(int64_t b, size_t j) const {
  if (read().slot == nullptr) return j;
  return static_cast<size_t>(read().slot(static_cast<int64_t>(j),
                                         static_cast<int64_t>(row(b).tokens.size()),
                                         std::max<int64_t>(1, case_.cache->page_size)));
}

Token CacheModel::held(int64_t b, size_t j, std::vector<Token> Row::*slots) const {
  const Row& from = row(b);
  constexpr Token nothing{-1, 0, 0};
  if (from.origins[j].lost) return nothing;
  const bool of_ring = read().kept_in != nullptr;
  if (!read().of_slots() && (!of_ring || place(b, j).fresh)) return from.tokens[j];
  const size_t slot =
      of_ring ? static_cast<size_t>(from.positions[j] % case_.cache->capacity) : slot_of(b, j);
  return slot < (from.*slots).size() ? (from.*slots)[slot] : nothing;
}

Token CacheModel::key(int64_t b, size_t j) const {
  return held(b, j, &Row::slot_k);
}

Token CacheModel::value(int64_t b, size_t j) const {
  return held(b, j, &Row::slot_v);
}

/// The tokens of the step before go to their slots.
void CacheModel::keep_in_ring(Row& row) const {
  for (size_t j = 0; j < row.tokens.size(); ++j) {
    if (row.tokens[j].step != static_cast<int64_t>(step_)) continue;
    const auto slot = static_cast<size_t>(read().kept_in(row.positions[j], case_.cache->capacity));
    for (std::vector<Token>* slots : {&row.slot_k, &row.slot_v}) {
      slots->resize(static_cast<size_t>(case_.cache->capacity), {-1, 0, 0});
      (*slots)[slot] = row.tokens[j];
    }
  }
}

void CacheModel::grow(size_t b, int64_t added) {
  const int64_t needed = static_cast<int64_t>(rows_[b].tokens.size()) + added;
  if (needed <= room_) return;
  room_ = std::max(needed, 2 * room_);
  for (Row& row : rows_)
    if (!row.origins.empty()) row.origins.back().lost = true;
}

/// The tokens before the newest stand one position farther back, and nothing stands where they end.
void CacheModel::roll_early(Row& row) const {
  if (row.next != case_.cache->capacity || row.tokens.size() < 2) return;
  for (int64_t& position : row.positions) --position;
  row.positions.back() = row.next - 1;
  row.origins.front().lost = true;
  row.positions.front() = row.next - 2;
  std::rotate(row.tokens.begin(), row.tokens.begin() + 1, row.tokens.end() - 1);
  std::rotate(row.positions.begin(), row.positions.begin() + 1, row.positions.end() - 1);
  std::rotate(row.origins.begin(), row.origins.begin() + 1, row.origins.end() - 1);
}

/// Slots that hold nothing yet stand where the next tokens will, all new ones as many places back.
void CacheModel::show_ahead(Row& row, int64_t slots) const {
  const int64_t room = case_.cache->capacity - static_cast<int64_t>(row.tokens.size());
  for (size_t j = 0; j < row.tokens.size(); ++j)
    if (row.tokens[j].step == static_cast<int64_t>(step_)) row.origins[j].last_move = -slots;
  for (int64_t n = 0; n < std::min(slots, room); ++n) {
    row.tokens.push_back({-1, 0, 0});
    row.origins.push_back({row.next + n, row.past, -slots, true});
    row.positions.push_back(row.next + n);
  }
}
void CacheModel::hide_ahead(Row& row) {
  while (!row.positions.empty() && row.positions.back() >= row.next) {
    row.tokens.pop_back();
    row.origins.pop_back();
    row.positions.pop_back();
  }
  for (Origin& origin : row.origins) origin.last_move = 0;
}

void CacheModel::fill_slot(size_t b, size_t slot, const Token& token) {
  Row& row = rows_[b];
  if (read().tail_values_lost) {
    const auto mine = [&](const Shared& shared) { return shared.a == b || shared.b == b; };
    const auto page = static_cast<size_t>(std::max<int64_t>(1, case_.cache->page_size));
    for (const Shared& shared : shared_)
      for (size_t n = slot / page * page; mine(shared) && n < slot; ++n) row.slot_v[n].step = -1;
    std::erase_if(shared_, mine);
  }
  for (std::vector<Token>* slots : {&row.slot_k, &row.slot_v}) {
    if (slots->size() <= slot) slots->resize(slot + 1, {-1, 0, 0});
    (*slots)[slot] = token;
  }
}

void CacheModel::add(size_t b, const Token& token, int64_t first) {
  Row& row = rows_[b];
  const size_t slot = row.tokens.size();
  if (read().of_slots()) fill_slot(b, slot, token);
  for (const Shared& shared : shared_) {
    if ((shared.a != b && shared.b != b) || slot < shared.begin || slot >= shared.end) continue;
    if (!read().tail_shared) continue;
    std::vector<Token>& other = rows_[shared.a == b ? shared.b : shared.a].tokens;
    if (slot < other.size()) other[slot] = token;
  }
  row.tokens.push_back(token);
  row.origins.push_back({row.next, first, 0});
  row.positions.push_back(row.next++);
}

/// Row `to` is a copy of row `from` from now on.
void CacheModel::share_tail(size_t from, size_t to) {
  const size_t size = rows_[from].tokens.size();
  const auto page = static_cast<size_t>(std::max<int64_t>(1, case_.cache->page_size));
  if (from != to && size % page != 0) shared_.push_back({from, to, size, (size / page + 1) * page});
}

/// Rows that come from the same row share its page, and those go on whose rows did.
void CacheModel::share_tails(const Step& reorder) {
  const std::vector<Shared> before = std::move(shared_);
  shared_.clear();
  for (size_t b = 0; b < rows_.size(); ++b)
    for (size_t a = 0; a < b; ++a) {
      const auto from_a = static_cast<size_t>(reorder.rows[a]);
      const auto from_b = static_cast<size_t>(reorder.rows[b]);
      if (from_a == from_b) share_tail(a, b);
      for (const Shared& old : before)
        if ((old.a == from_a && old.b == from_b) || (old.a == from_b && old.b == from_a))
          shared_.push_back({a, b, old.begin, old.end});
    }
}

/// Values that stay in their row are all those of its slots.
void CacheModel::copy_row(Row& to, const Row& from) const {
  std::vector<Token> own = to.slot_v;
  to = from;
  if (read().values_stay_in_row) {
    own.resize(std::max(own.size(), from.slot_v.size()), {-1, 0, 0});
    to.slot_v = std::move(own);
  }
}

void CacheModel::apply(size_t index) {
  const Step& step = case_.steps[index];
  if (read().kept_in != nullptr && index > 0)
    for (Row& row : rows_) keep_in_ring(row);
  step_ = index;
  for (Row& row : rows_) {  // what the step before left behind
    if (read().slots_ahead) hide_ahead(row);
    forget(row);
  }
  const bool shares = read().tail_shared || read().tail_values_lost;
  if (step.op == StepOp::reorder) {
    const std::vector<Row> old = rows_;
    for (size_t b = 0; b < rows_.size(); ++b)
      copy_row(rows_[b], old[static_cast<size_t>(step.rows[b])]);
    if (shares) share_tails(step);
  }
  if (step.op == StepOp::fork) {
    const auto from = static_cast<size_t>(step.from), to = static_cast<size_t>(step.to);
    copy_row(rows_[to], rows_[from]);
    std::erase_if(shared_, [&](const Shared& shared) { return shared.a == to || shared.b == to; });
    if (shares) share_tail(from, to);
  }
  for (size_t b = 0; b < rows_.size(); ++b) {
    Row& row = rows_[b];
    if (step.op == StepOp::reset) {
      Row empty;
      std::swap(empty.slot_k, row.slot_k);  // which stay as they are
      std::swap(empty.slot_v, row.slot_v);
      row = std::move(empty);
    }
    if (step.op == StepOp::crop) crop(row, step.length);
    if (step.op == StepOp::evict) evict(row, step);
    row.past = row.next;
    row.queries = step.has_tokens() ? step.real_queries(b) : 0;
    row.first_query = step.has_tokens() ? step.first_query(b) : 0;
    const int64_t added = step.has_tokens() ? step.real_tokens(b) : 0;
    if (read().growing_loses_last) grow(b, added);
    for (int64_t i = 0; i < added; ++i)
      add(b, {static_cast<int32_t>(index), static_cast<int32_t>(b), step.first_real(b) + i},
          row.past);
    if (read().rolls_early && added == 1) roll_early(row);
    if (read().slots_ahead && index > 0) show_ahead(row, step.q_len);
  }
}

std::vector<int64_t> CacheModel::lengths() const {
  std::vector<int64_t> lengths;
  for (const Row& row : rows_)
    lengths.push_back(std::count_if(
        row.positions.begin(), row.positions.end(),
        [&](int64_t position) { return position < row.next && !is_forgotten(row, position); }));
  return lengths;
}

std::vector<int64_t> CacheModel::next_positions() const {
  std::vector<int64_t> next;
  for (const Row& row : rows_) next.push_back(row.next);
  return next;
}

int64_t CacheModel::capacity() const {
  return case_.cache->kind == CacheKind::hybrid ? 0 : case_.cache->capacity;
}

}  // namespace attnfuzz
