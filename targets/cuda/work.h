#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "targets/attnfuzz_target.h"
#include "targets/cuda/block.h"
#include "targets/cuda/buffer.h"
#include "targets/cuda/mask_rules.h"
#include "targets/cuda/number.h"

namespace attnfuzz::cuda {

/// One call's tensors on the device, from attnfuzz_call and back. Backend: EmulatedBackend,
/// CudaBackend.
template <class Backend>
class Work {
 public:
  using Block = typename Backend::Block;
  template <class T>
  using Global = typename Block::template Global<T>;
  using Numbers = Global<const int64_t>;

  Work(Backend& backend, const attnfuzz_call& call) : backend_(backend), call_(call) {}

  template <class T>
  struct Input {
    Global<const T> data;
    Strides strides;
  };
  /// An input of the call by its name; empty where the call has none. `far`: its batch rows may be
  /// put far apart.
  template <class T>
  Input<T> input(const char* name, bool far = false) {
    const DLTensor* tensor = call_.tensor(&call_, name);
    if (tensor == nullptr) return {};
    Strides strides = strides_of(*tensor);
    const int64_t count = count_of(*tensor);
    Buffer<Backend>& buffer = add(name, count * static_cast<int64_t>(sizeof(T)));
    buffer.write(tensor->data);
    const int64_t rows = tensor->ndim == 4 ? tensor->shape[0] : 0;
    if (far && Backend::pitch > 0 && rows > 0 && count / rows < Backend::pitch) {
      strides.batch = Backend::pitch;
      return {backend_.far(name, buffer.template as<const T>(), count, count / rows), strides};
    }
    return {backend_.global(name, buffer.template as<const T>(), count), strides};
  }

  template <class T>
  struct Output {
    Global<T> data;
    Strides strides;
  };
  /// An output that finish() writes to the call's; empty where the call has none.
  template <class T>
  Output<T> output(const char* name) {
    const DLTensor* tensor = call_.tensor(&call_, name);
    if (tensor == nullptr) return {};
    const int64_t count = count_of(*tensor);
    Buffer<Backend>& buffer = add(name, count * static_cast<int64_t>(sizeof(T)));
    outputs_.push_back({&buffer, tensor});
    return {backend_.global(name, buffer.template as<T>(), count), strides_of(*tensor)};
  }

  template <class T>
  Global<T> workspace(const char* name, int64_t count) {
    Buffer<Backend>& buffer = add(name, count * static_cast<int64_t>(sizeof(T)));
    return backend_.workspace(name, buffer.template as<T>(), count);
  }
  Global<uint32_t> counters(const char* name, int64_t count) {
    Buffer<Backend>& buffer = add(name, count * static_cast<int64_t>(sizeof(uint32_t)));
    buffer.fill(0);
    return backend_.global(name, buffer.template as<uint32_t>(), count);
  }
  Numbers numbers(const char* name, const std::vector<int64_t>& values) {
    const auto count = static_cast<int64_t>(values.size());
    Buffer<Backend>& buffer = add(name, count * static_cast<int64_t>(sizeof(int64_t)));
    buffer.write(kept_.emplace_back(values).data());
    return backend_.global(name, buffer.template as<const int64_t>(), count);
  }

  MaskRules<Numbers> mask(int64_t kv_len) {
    MaskRules<Numbers> rules;
    rules.kv_len = kv_len;
    if (word("mask.align", "top_left") == "bottom_right")
      rules.first_position = call_.kv_len - call_.q_len;
    rules.causal = integer("mask.causal") != 0;
    rules.window = integer("mask.window") != 0;
    rules.window_left = integer("mask.window.left");
    rules.window_right = integer("mask.window.right");
    rules.chunk = integer("mask.chunk") != 0;
    rules.chunk_size = std::max<int64_t>(integer("mask.chunk.size"), 1);
    rules.chunk_from_token = word("mask.chunk.origin", "slot") == "token";
    rules.padding = integer("mask.padding") != 0;
    rules.padding_left = word("mask.padding.side", "right") == "left";
    if (rules.padding) rules.padding_lens = numbers("the lengths", list("mask.padding.lens"));
    rules.prefix = integer("mask.prefix") != 0;
    if (rules.prefix) rules.prefix_lens = numbers("the prefixes", list("mask.prefix.lens"));
    if (integer("mask.documents") != 0) {
      std::vector<int64_t> ends = list("mask.documents.lens");
      for (size_t n = 1; n < ends.size(); ++n) ends[n] += ends[n - 1];
      rules.document_count = static_cast<int64_t>(ends.size());
      rules.document_ends = numbers("the documents' ends", ends);
    }
    return rules;
  }

  /// Device memory that outlives the call, to be looked at for damage too. It must outlive this.
  void watch(Buffer<Backend>& buffer) { watched_.push_back(&buffer); }

  int64_t integer(const char* name) const { return call_.integer(&call_, name, 0); }
  std::string_view word(const char* name, const char* otherwise) const {
    return call_.word(&call_, name, otherwise);
  }
  std::vector<int64_t> list(const char* name) const {
    int64_t count = 0;
    const int64_t* values = call_.list(&call_, name, &count);
    return {values, values + count};
  }
  double number(const char* name) const { return call_.number(&call_, name, 0); }

  /// Waits for what was launched, once; copies the outputs, or tells what went wrong. What this
  /// call has asked of the device ends here, so that nothing of it is told of the next one. Memory
  /// that is given back is not waited for: the device reuses it in the stream's order.
  attnfuzz_status finish() {
    ask_for_results();
    backend_.wait();
    const std::string refusal = backend_.refusal();
    bool sticky = false, late = false;
    std::string error = backend_.error(sticky);
    if (error.empty() && refusal.empty()) error = damage();
    const std::string notes = backend_.notes();
    release();
    if (std::string more = backend_.error(late); error.empty()) error = std::move(more);
    if (error.empty() && !refusal.empty())
      return call_.stop(&call_, ATTNFUZZ_DECLINED, refusal.c_str());
    if (error.empty()) return call_.stop(&call_, ATTNFUZZ_OK, notes.c_str());
    if (!notes.empty()) error += "\n" + notes;
    return call_.stop(&call_, sticky || late ? ATTNFUZZ_FATAL : ATTNFUZZ_ERROR, error.c_str());
  }

 private:
  static int64_t count_of(const DLTensor& tensor) {
    int64_t count = 1;
    for (int32_t axis = 0; axis < tensor.ndim; ++axis) count *= tensor.shape[axis];
    return count;
  }
  static Strides strides_of(const DLTensor& tensor) {
    if (tensor.ndim < 4) return {};
    return {tensor.strides[0], tensor.strides[1], tensor.strides[2], tensor.strides[3]};
  }
  /// The outputs, and what damage shows on, as they are at the next wait.
  void ask_for_results() {
    for (const auto& [buffer, tensor] : outputs_) buffer->read(tensor->data);
    for (Buffer<Backend>& buffer : buffers_) watched_.push_back(&buffer);
    for (Buffer<Backend>* buffer : watched_) buffer->read_zones();
  }
  std::string damage() const {
    for (const Buffer<Backend>* buffer : watched_)
      if (std::string text = buffer->damage(); !text.empty()) return text;
    return {};
  }
  void release() {
    outputs_.clear();
    watched_.clear();
    buffers_.clear();
    kept_.clear();
  }
  Buffer<Backend>& add(const char* name, int64_t bytes) {
    return buffers_.emplace_back(backend_, name, bytes);
  }

  Backend& backend_;
  const attnfuzz_call& call_;
  std::deque<Buffer<Backend>> buffers_;
  std::deque<std::vector<int64_t>> kept_;  ///< what is still being copied to the device
  std::vector<Buffer<Backend>*> watched_;
  struct Pair {
    Buffer<Backend>* buffer;
    const DLTensor* tensor;
  };
  std::vector<Pair> outputs_;
};

}  // namespace attnfuzz::cuda
