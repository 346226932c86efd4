#include <algorithm>
#include <memory>

#include "targets/cpu/block_target.h"
#include "targets/cpu/cpu.h"

namespace attnfuzz {
namespace {

constexpr int64_t smallest_split = 64;  // keys
constexpr int64_t most_splits = 4;

/// Part n of `parts` of about equal size.
KeySegment part_of(const KeySegment& keys, int64_t n, int64_t parts) {
  const int64_t begin = keys.count * n / parts, end = keys.count * (n + 1) / parts;
  KeySegment part = keys;
  part.k += begin * keys.k_stride;
  part.v += begin * keys.v_stride;
  part.first += begin;
  part.count = end - begin;
  return part;
}

/// For few queries and many keys ("Flash-Decoding", Dao et al. 2023): each part of the keys has a
/// softmax of its own, and the parts are merged by their maxima and sums.
template <class T>
struct SplitKv {
  explicit SplitKv(const Problem& problem) : whole(problem), part(problem) {}

  void operator()(std::span<const QueryRow> rows, const KeySegment& memory,
                  const KeySegment& keys) {
    const int64_t parts =
        std::clamp((keys.count + smallest_split - 1) / smallest_split, int64_t{1}, most_splits);
    whole.start(rows);
    whole.add(memory);
    for (int64_t n = 0; n < parts; ++n) {
      part.start(rows);
      part.add(part_of(keys, n, parts));
      whole.merge(part);
    }
    whole.finish();
  }

  Block<T> whole, part;
};

}  // namespace

std::unique_ptr<Target> open_cpu_split_kv() {
  return std::make_unique<BlockTarget<SplitKv>>(
      "cpu:split-kv", "for few queries: keys in parts with a softmax each, merged",
      block_capabilities(R"({"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32],
        "q_len": [0, 16], "kv_len": [0, 4096], "head_dim": [1, 256], "head_dim_v": [1, 256],
        "memory_kv": [0, 32]})",
                         R"({"kv_len": [64, 256]})"));
}

}  // namespace attnfuzz
