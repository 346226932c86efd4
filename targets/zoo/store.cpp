#include "targets/zoo/store.h"

#include <algorithm>
#include <numeric>

namespace attnfuzz::zoo {

Store::Store(const Context& context, const Cache& of)
    : x(context), cache(of), rows(static_cast<size_t>(context.problem.batch)) {
  if (x.m.is("evict-positions"_line))
    cache.positions = of.positions == Positions::kept ? Positions::shifted : Positions::kept;
}

void Store::keys(int64_t b, int64_t g, std::vector<Key>& to) const {
  for (int64_t n = 0; n < count(b); ++n)
    to.push_back({.k = k_at(slot(b, n, g)),
                  .v = v_at(slot(b, n, g)),
                  .j = n,
                  .position = row(b).positions[static_cast<size_t>(n)]});
}

void Store::crop(int64_t b, int64_t length) {
  if (length >= count(b)) return;
  row(b).next = row(b).positions[static_cast<size_t>(length)];
  row(b).positions.resize(static_cast<size_t>(length));
  release(b);
}

void Store::reset(int64_t b) {
  row(b) = {};
  release(b);
}

void Store::evict(int64_t b, int64_t start, int64_t dropped) {
  if (dropped <= 0) return;
  for (int64_t to = start; to + dropped < count(b); ++to) {
    make_own(b, to);
    for (int64_t g = 0; g < x.problem.num_kv_heads; ++g)
      copy(slot(b, to, g), slot(b, to + dropped, g));
  }
  std::vector<int64_t>& positions = row(b).positions;
  positions.erase(positions.begin() + start, positions.begin() + start + dropped);
  release(b);
  if (cache.positions == Positions::kept) return;
  std::iota(positions.begin(), positions.end(), 0);
  row(b).next = count(b);
}

void Store::write(int64_t slot, const double* new_k, const double* new_v) {
  double* key = k.data() + slot * x.problem.head_dim;
  std::copy_n(new_k, x.problem.head_dim, key);
  std::copy_n(new_v, x.problem.head_dim_v, v.data() + slot * x.problem.head_dim_v);
  if (x.m.is("dense-keys-in-bf16"_line))
    for (int64_t d = 0; d < x.problem.head_dim; ++d) key[d] = round_to(DType::bf16, key[d]);
}

void Store::copy(int64_t to, int64_t from) {
  const double* value = v_at(x.m.is("dense-evict-moves-keys"_line) ? to : from);
  write(to, k_at(from), value);
}

void Store::resize(int64_t slots) {
  k.assign(static_cast<size_t>(slots * x.problem.head_dim), 0);
  v.assign(static_cast<size_t>(slots * x.problem.head_dim_v), 0);
}

std::unique_ptr<Store> make_store(const Context& x, const Cache& cache) {
  if (cache.kind == CacheKind::paged) return make_paged_store(x, cache);
  if (cache.kind == CacheKind::ring) return make_ring_store(x, cache);
  return make_dense_store(x, cache);
}

}  // namespace attnfuzz::zoo
