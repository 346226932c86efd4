#include "targets/cpu/query_rows.h"

#include <cmath>

namespace attnfuzz {
namespace {

template <class Byte>
View<Byte> in_bytes(Layout layout, const Tensor& tensor, Byte* data) {
  View<Byte> view = view_in(layout, tensor.shape, data);
  const int64_t bytes = info(tensor.dtype).bytes;
  view.batch *= bytes;
  view.head *= bytes;
  view.token *= bytes;
  return view;
}

bool has(const Problem& problem, std::string_view rule) {
  return problem.mask.find(rule) != nullptr;
}

}  // namespace

SharedInputs::SharedInputs(const Problem& problem, const Inputs& inputs) {
  if (has(problem, "boolean")) mask = inputs.at("mask").bytes.data();
  if (has(problem, "bias")) bias = inputs.at("bias").bytes.data();
  if (problem.sinks) sinks = inputs.at("sinks").to_doubles();
  if (problem.memory_kv > 0) {
    mem_k = inputs.at("mem_k").bytes.data();
    mem_v = inputs.at("mem_v").bytes.data();
  }
}

std::vector<QueryRow> query_rows(const Problem& problem, const SharedInputs& shared, int64_t b,
                                 int64_t g, const RowQueries& queries) {
  const bool alibi = has(problem, "alibi");
  const int64_t row_bytes = problem.kv_len * info(problem.dtype).bytes;
  std::vector<QueryRow> rows;
  for (int64_t i = 0; i < queries.count; ++i) {
    const int64_t position = queries.first_position + i;
    KeyRange keys = visible_keys(problem, b, position, queries.keys);
    const KeyRange sink_keys = keys.within({0, queries.sinks});
    if (queries.reach > 0) keys.begin = std::max(keys.begin, position - queries.reach + 1);
    if (queries.chunk > 0)
      keys.begin = std::max(keys.begin, position / queries.chunk * queries.chunk);
    for (int64_t h = 0; h < problem.num_heads; ++h) {
      if (problem.kv_head(h) != g) continue;
      const int64_t at = ((b * problem.num_heads + h) * queries.q_len + i) * row_bytes;
      QueryRow row;
      row.q = queries.q.at(b, h, queries.first + i);
      row.out = queries.out.at(b, h, queries.first + i);
      row.position = position;
      row.keys = keys;
      row.head = h;
      row.query = queries.first + i;
      if (queries.lse != nullptr)
        row.lse = queries.lse + (b * problem.num_heads + h) * queries.q_len + row.query;
      row.sink_keys = sink_keys;
      if (shared.mask != nullptr) row.mask = shared.mask + at;
      if (shared.bias != nullptr) row.bias = shared.bias + at;
      if (alibi)
        row.alibi =
            std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(problem.num_heads));
      if (!shared.sinks.empty()) row.sink = shared.sinks[static_cast<size_t>(h)];
      rows.push_back(row);
    }
  }
  return rows;
}

KeySegment memory_segment(const Problem& problem, const SharedInputs& shared, int64_t g) {
  const int64_t bytes = info(problem.dtype).bytes;
  const int64_t k = problem.head_dim * bytes, v = problem.head_dim_v * bytes;
  if (problem.memory_kv == 0) return {};
  return {shared.mem_k + g * problem.memory_kv * k,
          shared.mem_v + g * problem.memory_kv * v,
          k,
          v,
          0,
          problem.memory_kv,
          true};
}

View<const std::byte> bytes_of(Layout layout, const Tensor& tensor) {
  return in_bytes(layout, tensor, tensor.bytes.data());
}
View<std::byte> bytes_of(Layout layout, Tensor& tensor) {
  return in_bytes(layout, tensor, tensor.bytes.data());
}

}  // namespace attnfuzz
