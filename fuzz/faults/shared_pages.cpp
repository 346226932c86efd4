#include "fuzz/faults/shared_pages.h"

#include <algorithm>

namespace attnfuzz::fault {

SharedPages::SharedPages(const Case& c)
    : page_(static_cast<size_t>(std::max<int64_t>(1, c.cache->page_size))) {}

void SharedPages::share(size_t from, size_t to, size_t size) {
  if (from != to && size % page_ != 0)
    pairs_.push_back({from, to, size, (size / page_ + 1) * page_});
}

void SharedPages::leave(size_t row) {
  std::erase_if(pairs_, [&](const Pair& pair) { return pair.has(row); });
}

/// Rows that come from the same row share its page, and those go on whose rows did.
void SharedPages::copied(const Step& step, const std::vector<size_t>& sizes) {
  if (step.op == StepOp::fork) {
    const auto from = static_cast<size_t>(step.from), to = static_cast<size_t>(step.to);
    leave(to);
    share(from, to, sizes[from]);
  }
  if (step.op != StepOp::reorder) return;
  const std::vector<Pair> before = std::move(pairs_);
  pairs_.clear();
  for (size_t b = 0; b < sizes.size(); ++b)
    for (size_t a = 0; a < b; ++a) {
      const auto from_a = static_cast<size_t>(step.rows[a]);
      const auto from_b = static_cast<size_t>(step.rows[b]);
      if (from_a == from_b) share(a, b, sizes[a]);
      for (const Pair& old : before)
        if ((old.a == from_a && old.b == from_b) || (old.a == from_b && old.b == from_a))
          pairs_.push_back({a, b, old.begin, old.end});
    }
}

}  // namespace attnfuzz::fault
