#pragma once
#include <memory>
#include <numeric>

#include "targets/cuda/decode.h"
#include "targets/cuda/work.h"

namespace attnfuzz::cuda {

/// A cache in pages on the device; tables and lengths are kept on the host.
template <class Backend>
class PagedCache {
 public:
  virtual ~PagedCache() = default;
  virtual attnfuzz_status step(const attnfuzz_call& call) = 0;
  int64_t length(int64_t b) const { return lengths_[static_cast<size_t>(b)]; }

 protected:
  explicit PagedCache(int64_t batch) : lengths_(static_cast<size_t>(batch), 0) {}
  std::vector<int64_t> lengths_;
};

template <class T, class Backend>
class PagedCacheOf final : public PagedCache<Backend> {
 public:
  PagedCacheOf(Backend& backend, const attnfuzz_call& call, Mistake mistake)
      : PagedCache<Backend>(call.batch),
        backend_(backend),
        mistake_(mistake),
        page_size_(call.integer(&call, "cache.page_size", 1)),
        capacity_(call.integer(&call, "cache.capacity", 0)),
        pages_per_row_((capacity_ + page_size_ - 1) / page_size_),
        k_page_(call.num_kv_heads * page_size_ * call.head_dim),
        v_page_(call.num_kv_heads * page_size_ * call.head_dim_v),
        pages_(2 * call.batch * pages_per_row_),
        k_(backend, "the key pages", pages_ * k_page_ * static_cast<int64_t>(sizeof(T))),
        v_(backend, "the value pages", pages_ * v_page_ * static_cast<int64_t>(sizeof(T))),
        tables_(static_cast<size_t>(call.batch)) {
    // Pages come in no order: a kernel that doesn't ask the table reads others' tokens.
    for (int64_t page = 0; page < pages_; page += 2) free_.push_back(page);
    for (int64_t page = 1; page < pages_; page += 2) free_.push_back(page);
  }

  attnfuzz_status step(const attnfuzz_call& call) override {
    const std::string_view op = call.word(&call, "op", "");
    if (op == "crop") crop(call.integer(&call, "length", 0));
    if (op == "reset") crop(0);
    if (op == "fork" || op == "reorder") {
      reorder(sources(call, op));
      return Work<Backend>(backend_, call).finish();  // what went wrong is this step's
    }
    if (op == "prefill" || op == "append" || op == "decode") return add(call);
    return ATTNFUZZ_OK;
  }

 private:
  using Block = typename Backend::Block;
  using Rows = std::vector<int64_t>;
  using PagedCache<Backend>::lengths_;

  struct Placed {
    Rows first, count, past;
  };
  Placed place(const Work<Backend>& work, const attnfuzz_call& call) const {
    Placed rows;
    const Rows lens = work.list("lens");
    const bool left = work.word("side", "right") == "left";
    for (size_t b = 0; b < lengths_.size(); ++b) {
      const int64_t count = lens.empty() ? call.q_len : lens[b];
      rows.count.push_back(count);
      rows.first.push_back(left ? call.q_len - count : 0);
      rows.past.push_back(lengths_[b]);
    }
    return rows;
  }

  attnfuzz_status add(const attnfuzz_call& call) {
    Work<Backend> work(backend_, call);
    work.watch(k_);
    work.watch(v_);
    const Placed placed = place(work, call);
    for (size_t b = 0; b < lengths_.size(); ++b) {
      if (lengths_[b] + placed.count[b] > capacity_)
        return call.stop(&call, ATTNFUZZ_ERROR, "the cache is full");
      lengths_[b] += placed.count[b];
      while (pages_of(lengths_[b]) > static_cast<int64_t>(tables_[b].size()))
        tables_[b].push_back(take());
    }
    const StepRows<Block> rows{work.numbers("the first tokens", placed.first),
                               work.numbers("the counts", placed.count),
                               work.numbers("the lengths", placed.past)};
    const Pages<T, Block> pages = pages_in(work, call);
    append(work, call, pages, rows);
    attend(work, call, pages, rows);
    return work.finish();
  }

  Pages<T, Block> pages_in(Work<Backend>& work, const attnfuzz_call& call) {
    Rows table(lengths_.size() * static_cast<size_t>(pages_per_row_), -1);
    for (size_t b = 0; b < tables_.size(); ++b)
      std::copy(tables_[b].begin(), tables_[b].end(),
                table.begin() + static_cast<int64_t>(b) * pages_per_row_);
    Pages<T, Block> pages{};
    pages.table = work.numbers("the block table", table);
    pages.num_kv_heads = call.num_kv_heads;
    pages.page_size = page_size_;
    pages.pages_per_row = pages_per_row_;
    pages.head_dim = call.head_dim;
    pages.head_dim_v = call.head_dim_v;
    if (Backend::pitch > std::max(k_page_, v_page_)) {
      pages.k = backend_.far(k_.name(), k_.template as<T>(), pages_ * k_page_, k_page_);
      pages.v = backend_.far(v_.name(), v_.template as<T>(), pages_ * v_page_, v_page_);
      pages.k_page = pages.v_page = Backend::pitch;
    } else {
      pages.k = backend_.global(k_.name(), k_.template as<T>(), pages_ * k_page_);
      pages.v = backend_.global(v_.name(), v_.template as<T>(), pages_ * v_page_);
      pages.k_page = k_page_;
      pages.v_page = v_page_;
    }
    return pages;
  }

  void append(Work<Backend>& work, const attnfuzz_call& call, const Pages<T, Block>& pages,
              const StepRows<Block>& rows) {
    using Kernel = Append<T, Block>;
    const auto k = work.template input<T>("k"), v = work.template input<T>("v");
    backend_.template launch<Kernel>(
        call.batch * call.q_len, 0,
        {pages, rows, k.data, v.data, k.strides, v.strides, call.q_len});
  }

  void attend(Work<Backend>& work, const attnfuzz_call& call, const Pages<T, Block>& pages,
              const StepRows<Block>& rows) {
    using Kernel = Decode<T, Block>;
    typename Kernel::Params p{};
    const auto q = work.template input<T>("q");
    const auto out = work.template output<T>("out");
    const int64_t queries = call.batch * call.num_heads * call.q_len;
    p.pages = pages;
    p.pages.mistake = p.mistake = mistake_;
    p.rows = rows;
    p.q = q.data;
    p.q_strides = q.strides;
    p.out = out.data;
    p.out_strides = out.strides;
    p.num_heads = call.num_heads;
    p.q_len = call.q_len;
    p.parts = DecodeShape::parts(*std::max_element(lengths_.begin(), lengths_.end()));
    p.partial = work.template workspace<float>("the parts' results",
                                               queries * p.parts * (2 + call.head_dim_v));
    p.ended = work.counters("the counters", queries);
    p.with_sinks = call.tensor(&call, "sinks") != nullptr;
    if (p.with_sinks) p.sinks = work.template input<T>("sinks").data;
    p.with_lse = call.tensor(&call, "lse") != nullptr;
    if (p.with_lse) p.lse = work.template output<float>("lse").data;
    p.scale = static_cast<float>(work.number("scale"));
    p.softcap = static_cast<float>(work.number("softcap"));
    p.mask = work.mask(0);
    p.mask.first_position = 0;
    const DecodeShape shape{call.head_dim, call.head_dim_v};
    backend_.template launch<Kernel>(queries * p.parts, shared_bytes_of<T>(shape), p);
  }

  int64_t pages_of(int64_t tokens) const { return (tokens + page_size_ - 1) / page_size_; }
  int64_t take() {
    const int64_t page = free_.back();
    free_.pop_back();
    return page;
  }
  void crop(int64_t length) {
    for (size_t b = 0; b < lengths_.size(); ++b) {
      lengths_[b] = std::min(lengths_[b], length);
      for (; static_cast<int64_t>(tables_[b].size()) > pages_of(lengths_[b]); tables_[b].pop_back())
        free_.push_back(tables_[b].back());
    }
  }

  Rows sources(const attnfuzz_call& call, std::string_view op) const {
    if (op == "reorder") {
      int64_t count = 0;
      const int64_t* rows = call.list(&call, "rows", &count);
      return {rows, rows + count};
    }
    Rows rows(lengths_.size());
    std::iota(rows.begin(), rows.end(), 0);
    rows[static_cast<size_t>(call.integer(&call, "to", 0))] = call.integer(&call, "from", 0);
    return rows;
  }
  /// Each row gets pages of its own, copied from its source's.
  void reorder(const Rows& from) {
    std::vector<Rows> tables(tables_.size());
    Rows lengths(lengths_.size());
    for (size_t b = 0; b < tables_.size(); ++b) {
      const auto source = static_cast<size_t>(from[b]);
      lengths[b] = lengths_[source];
      for (const int64_t page : tables_[source]) {
        tables[b].push_back(take());
        copy_page(k_, k_page_, tables[b].back(), page);
        copy_page(v_, v_page_, tables[b].back(), page);
      }
    }
    for (const Rows& table : tables_) free_.insert(free_.end(), table.begin(), table.end());
    tables_ = std::move(tables);
    lengths_ = std::move(lengths);
  }
  void copy_page(const Buffer<Backend>& pool, int64_t page, int64_t to, int64_t from) {
    T* data = pool.template as<T>();
    backend_.copy(data + to * page, data + from * page, static_cast<size_t>(page) * sizeof(T));
  }

  Backend& backend_;
  Mistake mistake_;
  int64_t page_size_, capacity_, pages_per_row_, k_page_, v_page_, pages_;
  Buffer<Backend> k_, v_;
  std::vector<Rows> tables_;
  Rows free_;
};

template <class Backend, Mistake mistake = Mistake::none>
attnfuzz_status paged_open(const attnfuzz_call* call, void** cache) {
  Backend& backend = Backend::instance();
  const std::string_view dtype = call->word(call, "dtype", "");
  PagedCache<Backend>* opened = nullptr;
  if (dtype == "f16") opened = new PagedCacheOf<Half, Backend>(backend, *call, mistake);
  if (dtype == "bf16") opened = new PagedCacheOf<Bfloat, Backend>(backend, *call, mistake);
  if (dtype == "f32") opened = new PagedCacheOf<float, Backend>(backend, *call, mistake);
  if (opened == nullptr) return call->stop(call, ATTNFUZZ_ERROR, "expected f16, bf16 or f32");
  *cache = opened;
  return ATTNFUZZ_OK;
}
template <class Backend>
attnfuzz_status paged_step(void* cache, const attnfuzz_call* call) {
  return static_cast<PagedCache<Backend>*>(cache)->step(*call);
}
template <class Backend>
int64_t paged_length(void* cache, int64_t row) {
  return static_cast<PagedCache<Backend>*>(cache)->length(row);
}
template <class Backend>
void paged_close(void* cache) {
  delete static_cast<PagedCache<Backend>*>(cache);
  bool sticky = false;
  Backend::instance().error(sticky);  // nobody's any more; one that stays is told again
}

}  // namespace attnfuzz::cuda
