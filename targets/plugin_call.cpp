#include "targets/plugin_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "oracle/fnv.h"
#include "oracle/masks/indices.h"
#include "targets/strided.h"

namespace attnfuzz {
namespace {

constexpr std::byte unwritten{0xFF};  // NaN in every float type of DType

constexpr DLDataType seen_dtype{kDLUInt, 8, 1};

/// In the order of DType.
constexpr DLDataType dl_dtypes[] = {{kDLFloat, 64, 1},  {kDLFloat, 32, 1}, {kDLFloat, 16, 1},
                                    {kDLBfloat, 16, 1}, {kDLUInt, 8, 1},   {kDLUInt, 8, 1}};

DLDataType dl_dtype(DType dtype) {
  return dl_dtypes[static_cast<size_t>(dtype)];
}

Shape compact_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

/// The logical [batch, heads, len, dim] view of a tensor whose memory order is bshd.
void swap_heads_and_len(Shape& shape_or_strides) {
  std::swap(shape_or_strides[1], shape_or_strides[2]);
}

}  // namespace

GuardedTensor::GuardedTensor(std::string name, DLDataType dtype, Shape logical, Shape strides,
                             const void* source, GuardedMemory::Placement placement, size_t bytes,
                             size_t offset)
    : name_(std::move(name)),
      placement_(placement),
      shape_(std::move(logical)),
      strides_(std::move(strides)),
      bytes_(bytes > 0 ? bytes : static_cast<size_t>(element_count(shape_)) * dtype.bits / 8),
      source_(source),
      memory_(bytes_, placement),
      watch_(name_.c_str(), memory_) {
  if (source_ == nullptr)
    std::fill_n(memory_.data(), bytes_, unwritten);
  else if (bytes_ > 0)
    std::memcpy(memory_.data(), source_, bytes_);
  description_.data = memory_.data() + offset;
  description_.device = {kDLCPU, 0};
  description_.ndim = static_cast<int>(shape_.size());
  description_.dtype = dtype;
  description_.shape = shape_.data();
  description_.strides = strides_.data();
}

std::string GuardedTensor::damage() const {
  if (memory_.written_past()) return "was written past its end";
  if (memory_.written_before()) return "was written before its start";
  if (source_ != nullptr && bytes_ > 0 && std::memcmp(data(), source_, bytes_) != 0)
    return "is an input, but was written to";
  return {};
}

PluginCall::PluginCall(const Case& c) : case_(c) {
  const Problem& p = c.problem;
  call_.batch = p.batch;
  call_.num_heads = p.num_heads;
  call_.num_kv_heads = p.num_kv_heads;
  call_.q_len = p.q_len;
  call_.kv_len = p.kv_len;
  call_.head_dim = p.head_dim;
  call_.head_dim_v = p.head_dim_v;
  call_.memory_kv = p.memory_kv;
  call_.host = this;
  options_ = {{"kind", name(p.kind)},
              {"scale", p.scale_value()},
              {"softcap", p.softcap},
              {"dropout_keep", static_cast<double>(p.dropout_keep) / 100},
              {"dtype", name(p.dtype)},
              {"layout", name(p.layout)},
              {"head_map", name(p.head_map)},
              {"bias_order", name(p.bias_order)},
              {"fully_masked", name(p.fully_masked)},
              {"rope", name(p.rope)},
              {"rope_base", p.rope_base},
              {"rope_part", name(p.rope_part)},
              {"rope_dim", p.turned_dim()},
              {"rope_scaling.law", name(p.rope_scaling.law)},
              {"rope_scaling.factor", p.rope_scaling.factor},
              {"rope_scaling.original_len", p.rope_scaling.original_len},
              {"rope_scaling.low", p.rope_scaling.low},
              {"rope_scaling.high", p.rope_scaling.high},
              {"rope_scaling.magnitude", p.rope_scaling.magnitude},
              {"rope_scaling.truncate", int64_t{p.rope_scaling.truncate ? 1 : 0}}};
  if (!p.rope_positions.empty()) options_["rope_positions"] = p.rope_positions;
  if (c.cached()) {
    options_["cache.kind"] = name(c.cache->kind);
    options_["cache.capacity"] = c.cache->capacity;
    options_["cache.page_size"] = c.cache->page_size;
    options_["cache.keep"] = c.cache->keep;
    options_["cache.positions"] = name(c.cache->positions);
    options_["cache.quant"] = name(c.cache->quant);
    options_["cache.scales"] = name(c.cache->scales);
  }
  set_mask(p.mask);
  set_indices();

  call_.tensor = [](const attnfuzz_call* call, const char* key) -> const DLTensor* {
    const auto& tensors = self(call).tensors_;
    const auto found = tensors.find(std::string_view(key));
    return found == tensors.end() ? nullptr : found->second.description();
  };
  call_.integer = [](const attnfuzz_call* call, const char* key, int64_t fallback) {
    const auto* value = self(call).option<int64_t>(key);
    return value ? *value : fallback;
  };
  call_.number = [](const attnfuzz_call* call, const char* key, double fallback) {
    const auto* value = self(call).option<double>(key);
    return value ? *value : fallback;
  };
  call_.word = [](const attnfuzz_call* call, const char* key, const char* fallback) {
    const auto* value = self(call).option<std::string_view>(key);
    return value ? value->data() : fallback;  // the words are literals: see names_of
  };
  call_.list = [](const attnfuzz_call* call, const char* key, int64_t* count) -> const int64_t* {
    const auto* value = self(call).option<std::vector<int64_t>>(key);
    *count = value ? static_cast<int64_t>(value->size()) : 0;
    return value ? value->data() : nullptr;
  };
  call_.stop = [](const attnfuzz_call* call, attnfuzz_status status, const char* text) {
    static_cast<PluginCall*>(call->host)->text_ = text;
    return status;
  };
}

const PluginCall& PluginCall::self(const attnfuzz_call* call) {
  return *static_cast<const PluginCall*>(call->host);
}

template <class T>
const T* PluginCall::option(const char* name) const {
  const auto found = options_.find(std::string_view(name));
  return found == options_.end() ? nullptr : std::get_if<T>(&found->second);
}

void PluginCall::set_mask(const Mask& mask) {
  options_["mask.align"] = name(mask.align);
  for (const RuleUse& use : mask.rules) {
    const std::string rule = fmt::format("mask.{}", use.spec->name);
    options_[rule] = int64_t{1};
    for (size_t k = 0; k < use.values.size(); ++k) {
      const RuleParam& param = use.spec->params[k];
      Option& option = options_[fmt::format("{}.{}", rule, param.name)];
      if (param.kind == RuleParam::Kind::choice)
        option = param.choices[static_cast<size_t>(use.integer(k))];
      else
        std::visit([&](const auto& value) { option = value; }, use.values[k]);
    }
  }
}

/// The rule indices' lists: [batch, num_heads, blocks of queries, count], −1 where there is no key.
void PluginCall::set_indices() {
  const Problem& p = case_.problem;
  const RuleUse* use = p.mask.find("indices");
  if (use == nullptr) return;
  std::vector<int64_t> all;
  const auto count = static_cast<size_t>(use->integer("count"));
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.num_heads; ++h)
      for (int64_t i = 0; i < p.q_len; i += use->integer("q_block")) {
        std::vector<int64_t> keys = selected_keys(*use, {p, case_.data, b, h, i, i, {}, 0, 0});
        keys.resize(count, -1);
        all.insert(all.end(), keys.begin(), keys.end());
      }
  options_["mask.indices.keys"] = std::move(all);
}

void PluginCall::add(const std::string& name, const Tensor& input) {
  add(name, input.dtype, input.shape, input.bytes.data());
}

/// `source` is null for an output.
void PluginCall::add(std::string_view name, DType dtype, Shape shape, const void* source) {
  static constexpr std::string_view by_layout[] = {"q",   "k",        "v",  "gate", "beta",
                                                   "out", "grad_out", "dq", "dk",   "dv"};
  Shape strides = compact_strides(shape);
  if (case_.problem.layout == Layout::bshd &&
      std::find(std::begin(by_layout), std::end(by_layout), name) != std::end(by_layout)) {
    swap_heads_and_len(shape);
    swap_heads_and_len(strides);
  }
  tensors_.emplace(std::piecewise_construct, std::forward_as_tuple(name),
                   std::forward_as_tuple(std::string(name), dl_dtype(dtype), shape, strides, source,
                                         placement(name, source)));
}

/// An input's end is at a page that can't be read, or its start: of one tensor the one, of another
/// the other, and the other way round for the next seed or step.
GuardedMemory::Placement PluginCall::placement(std::string_view name, const void* source) const {
  using enum GuardedMemory::Placement;
  if (source == nullptr) return between;
  return (fnv1a(name) + case_.data.seed + step_) % 2 == 0 ? at_end : at_start;
}

/// As the case's strides say.
void PluginCall::add_strided(const std::string& name, const Inputs& inputs) {
  const StridedShape shape = strided_shape(case_.problem, name);
  const DType dtype = inputs.at(name).dtype;
  const std::vector<std::byte>& memory = laid_out_[name] = lay_out(case_.problem, name, inputs);
  const auto offset = static_cast<size_t>(shape.base * info(dtype).bytes);
  tensors_.emplace(
      std::piecewise_construct, std::forward_as_tuple(name),
      std::forward_as_tuple(name, dl_dtype(dtype), shape.sizes,
                            Shape(shape.strides.begin(), shape.strides.end()), memory.data(),
                            placement(name, memory.data()), memory.size(), offset));
}

void PluginCall::add_outputs() {
  for (const Output output : case_.problem.outputs) {
    const OutputSpec spec = output_spec(case_.problem, output, call_.q_len);
    add(name(output), spec.dtype, spec.shape, nullptr);
  }
}

void PluginCall::add_seen(const Tensor& mask) {
  const auto width = static_cast<size_t>(info(mask.dtype).bytes);
  seen_.assign(static_cast<size_t>(mask.size()), 0);
  for (size_t k = 0; k < mask.bytes.size(); ++k)
    if (mask.bytes[k] != std::byte{0}) seen_[k / width] = 1;  // 1.0 has bits set, 0.0 has none
  tensors_.emplace(
      std::piecewise_construct, std::forward_as_tuple("mask"),
      std::forward_as_tuple("mask", seen_dtype, mask.shape, compact_strides(mask.shape),
                            seen_.data(), placement("mask", seen_.data())));
}

void PluginCall::set_inputs(const Inputs& inputs) {
  for (const auto& [name, tensor] : inputs.all()) {
    if (name == "mask")
      add_seen(tensor);
    else if (has_strides(name) && case_.problem.strides != Strides::dense)
      add_strided(name, inputs);
    else
      add(name, tensor);
  }
  add_outputs();
}

void PluginCall::set_step(size_t index, const Inputs& inputs) {
  const Step& step = case_.steps[index];
  step_ = index;
  tensors_.clear();
  options_["op"] = name(step.op);
  options_["length"] = step.length;
  options_["rows"] = step.rows;
  options_["lens"] = step.lens;
  options_["side"] = name(step.side);
  options_["from"] = step.from;
  options_["to"] = step.to;
  options_["start"] = step.start;
  options_["count"] = step.count;
  for (const char* list : {"rows", "lens"})
    if (std::get<std::vector<int64_t>>(options_[list]).empty()) options_.erase(list);
  call_.q_len = step.q_len;
  call_.kv_len = step.kv_len.value_or(0);
  const std::string suffix = fmt::format(".{}", index);
  for (const auto& [name, tensor] : inputs.all()) {
    if (name.ends_with(suffix))  // "q.3", "k.3", "v.3", "gate.3", "beta.3"
      add(name.substr(0, name.size() - suffix.size()), tensor);
    if (name.find('.') == std::string::npos) add(name, tensor);  // sinks, memory
  }
  if (step.has_tokens()) add_outputs();
}

std::string PluginCall::damage() const {
  for (const auto& [name, tensor] : tensors_)
    if (const std::string text = tensor.damage(); !text.empty())
      return fmt::format("{} {}", name, text);
  return {};
}

StepOutput PluginCall::output() const {
  StepOutput step;
  for (const Output output : case_.problem.outputs) {
    const auto found = tensors_.find(name(output));
    if (found == tensors_.end()) continue;  // a step without tokens
    const OutputSpec spec = output_spec(case_.problem, output, call_.q_len);
    Tensor tensor(spec.dtype, spec.shape);
    if (found->second.bytes() > 0)
      std::memcpy(tensor.bytes.data(), found->second.data(), found->second.bytes());
    if (output == Output::out)
      step.out = std::move(tensor);
    else
      step.more[output] = std::move(tensor);
  }
  return step;
}

}  // namespace attnfuzz
