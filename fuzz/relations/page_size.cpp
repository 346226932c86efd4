#include "fuzz/relations/table.h"

namespace attnfuzz::relation {
namespace {

std::optional<Twin> twin(const Case& c) {
  if (!c.cached() || c.cache->kind != CacheKind::paged) return {};
  Twin twin = same(c);
  int64_t& size = twin.c.cache->page_size;
  size = chosen(c, 1, size + 3);
  if (size == c.cache->page_size) ++size;
  return twin;
}

}  // namespace

const Relation page_size = {
    .name = "page-size",
    .words = "the size of a cache's pages makes no difference",
    .cause =
        "A page's boundary shows: the block table is read with the wrong index, the last page "
        "is not filled up, or a page is shared that should have been copied.",
    .twin = twin};

}  // namespace attnfuzz::relation
