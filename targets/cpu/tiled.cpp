#include <algorithm>
#include <memory>

#include "targets/cpu/block_target.h"
#include "targets/cpu/claiming.h"
#include "targets/cpu/cpu.h"

namespace attnfuzz {
namespace {

constexpr size_t query_tile = 32;  // rows of a block: queries, or with GQA queries × heads

template <class T>
struct Tiled {
  explicit Tiled(const Problem& problem) : block(problem) {}

  void operator()(std::span<const QueryRow> rows, const KeySegment& memory,
                  const KeySegment& keys) {
    for (size_t r = 0; r < rows.size(); r += query_tile) {
      block.start(rows.subspan(r, std::min(query_tile, rows.size() - r)));
      block.add(memory);
      block.add(keys);
      block.finish();
    }
  }

  Block<T> block;
};

}  // namespace

std::unique_ptr<Target> cpu_tiled_claiming(std::string_view capabilities) {
  return std::make_unique<BlockTarget<Tiled>>(
      "cpu:tiled", "online softmax over tiles; tiles that the mask hides are skipped",
      capabilities);
}

std::unique_ptr<Target> open_cpu_tiled() {
  return cpu_tiled_claiming(
      block_capabilities(R"({"batch": [0, 16], "num_heads": [1, 32], "num_kv_heads": [1, 32],
        "q_len": [0, 2048], "kv_len": [0, 2048], "head_dim": [1, 256], "head_dim_v": [1, 256],
        "memory_kv": [0, 32]})",
                         R"({"q_len": [32], "kv_len": [64]})"));
}

}  // namespace attnfuzz
