#pragma once
#include <cstdint>

#include "oracle/host_device.h"

/// The structural rules of a mask on the device: each lets a query see one range of keys.
namespace attnfuzz::cuda {

/// Positions [begin, end) of keys.
struct KeyRange {
  int64_t begin, end;
};

inline constexpr int64_t no_limit = int64_t{1} << 40;

/// Integers of the case that lie in device memory. List is a block's Global<const int64_t>.
template <class List>
struct MaskRules {
  int64_t kv_len = 0;          ///< of the padding's rows, without a cache
  int64_t first_position = 0;  ///< where query 0 stands among the keys, without a cache
  bool causal = false;
  bool window = false, chunk = false, padding = false, prefix = false;
  int64_t window_left = 0, window_right = 0;
  int64_t chunk_size = 1;
  bool chunk_from_token = false;  ///< chunks are counted from the row's first real token
  bool padding_left = false;
  int64_t document_count = 0;  ///< 0: no such rule
  List padding_lens = {}, prefix_lens = {}, document_ends = {};

  /// The keys of batch row b that hold tokens.
  ATTNFUZZ_HOST_DEVICE KeyRange real_keys(int64_t b) const {
    if (!padding) return {0, kv_len};
    const int64_t len = padding_lens.at(b);
    return padding_left ? KeyRange{kv_len - len, kv_len} : KeyRange{0, len};
  }

  /// Which of `keys` the query at a position of batch row b sees.
  ATTNFUZZ_HOST_DEVICE KeyRange seen(int64_t b, int64_t position, KeyRange keys) const {
    if (padding) keys = both(keys, real_keys(b));
    if (causal) keys = both(keys, {-no_limit, position + 1});
    if (window) keys = both(keys, {position - window_left, position + window_right + 1});
    if (prefix) {
      const int64_t len = prefix_lens.at(b);
      keys = both(keys, {-no_limit, len > position + 1 ? len : position + 1});
    }
    if (chunk) {
      const int64_t origin = chunk_from_token && padding ? real_keys(b).begin : 0;
      const int64_t into = ((position - origin) % chunk_size + chunk_size) % chunk_size;
      keys = both(keys, {position - into, position - into + chunk_size});
    }
    if (document_count > 0) keys = both(keys, document_of(position));
    return keys;
  }

 private:
  ATTNFUZZ_HOST_DEVICE static KeyRange both(KeyRange x, KeyRange y) {
    return {x.begin > y.begin ? x.begin : y.begin, x.end < y.end ? x.end : y.end};
  }
  ATTNFUZZ_HOST_DEVICE KeyRange document_of(int64_t position) const {
    int64_t begin = 0;
    for (int64_t n = 0; n < document_count; ++n) {
      const int64_t end = document_ends.at(n);
      if (position >= begin && position < end) return {begin, end};
      begin = end;
    }
    return {0, 0};
  }
};

}  // namespace attnfuzz::cuda
