#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "oracle/inputs.h"
#include "targets/attnfuzz_target.h"
#include "targets/fault_report.h"
#include "targets/guarded_memory.h"
#include "targets/outcome.h"

namespace attnfuzz {

/// A tensor as a plug-in sees it: guarded memory with its DLPack description.
class GuardedTensor {
 public:
  /// `logical` is the shape, `strides` its strides in elements; `source` are the bytes of an input,
  /// null for an output. `bytes` of memory, the first element `offset` bytes behind its start; 0:
  /// as many as the elements have.
  GuardedTensor(std::string name, DLDataType dtype, Shape logical, Shape strides,
                const void* source, GuardedMemory::Placement placement, size_t bytes = 0,
                size_t offset = 0);

  const DLTensor* description() const { return &description_; }
  const std::byte* data() const { return memory_.data(); }
  size_t bytes() const { return bytes_; }
  /// What was done to it that must not be ("was written past its end"); empty if nothing.
  std::string damage() const;
  GuardedMemory::Placement placement() const { return placement_; }

 private:
  std::string name_;
  GuardedMemory::Placement placement_;
  Shape shape_, strides_;
  size_t bytes_;
  const void* source_;
  GuardedMemory memory_;
  FaultWatch watch_;
  DLTensor description_{};
};

/// The host's side of one attnfuzz_call. The case and the inputs must outlive it.
class PluginCall {
 public:
  explicit PluginCall(const Case& c);
  explicit PluginCall(const Case&&) = delete;
  PluginCall(const PluginCall&) = delete;
  PluginCall& operator=(const PluginCall&) = delete;

  /// Makes it a call without a cache: all inputs, and "out".
  void set_inputs(const Inputs& inputs);
  /// Makes it the call of step `index`.
  void set_step(size_t index, const Inputs& inputs);

  const attnfuzz_call* get() const { return &call_; }
  const std::string& text() const { return text_; }
  /// The first tensor that was damaged, in words; empty if none.
  std::string damage() const;
  /// "out" in the case's layout, of a step without tokens an empty tensor; and what else is asked.
  StepOutput output() const;

  using Option = std::variant<int64_t, double, std::string_view, std::vector<int64_t>>;
  using Options = std::map<std::string, Option, std::less<>>;
  /// What integer(), number(), word() and list() answer.
  const Options& options() const { return options_; }
  /// All of its tensors by name, "out" too.
  const std::map<std::string, GuardedTensor, std::less<>>& tensors() const { return tensors_; }

 private:
  static const PluginCall& self(const attnfuzz_call* call);
  template <class T>
  const T* option(const char* name) const;
  void set_mask(const Mask& mask);
  void set_indices();
  void add(const std::string& name, const Tensor& input);
  void add(std::string_view name, DType dtype, Shape shape, const void* source);
  GuardedMemory::Placement placement(std::string_view name, const void* source) const;
  void add_strided(const std::string& name, const Inputs& inputs);
  void add_seen(const Tensor& mask);
  void add_outputs();

  const Case& case_;
  attnfuzz_call call_{};
  Options options_;
  std::map<std::string, GuardedTensor, std::less<>> tensors_;
  size_t step_ = 0;
  std::map<std::string, std::vector<std::byte>, std::less<>> laid_out_;  ///< of strided inputs
  std::vector<uint8_t> seen_;  ///< the mask, one byte for each element
  std::string text_;
};

}  // namespace attnfuzz
