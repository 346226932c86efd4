#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "oracle/tensor.h"

namespace attnfuzz {

/// A tensor of a safetensors file. Our DTypes have no boolean: one is a tensor of e4m3, which has a
/// byte for each 0 or 1.
struct NamedTensor {
  std::string name;
  bool boolean = false;
  Tensor tensor;
};

/// The tensors of a safetensors file (a u64 header length, a JSON header, the data), in the order
/// of their data. Strict: what the format forbids (holes, overlaps, a shape that does not fit its
/// bytes, a name given twice), a dtype that no Case has, and a boolean other than 0 and 1 throw
/// InputError(where, "/name/field", …). No memory is taken before the sizes have been checked.
/// https://huggingface.co/docs/safetensors describes the format.
std::vector<NamedTensor> parse_safetensors(std::string_view bytes, const std::string& where);
std::vector<NamedTensor> read_safetensors(const std::string& file);

std::string write_safetensors(const std::vector<NamedTensor>& tensors);

}  // namespace attnfuzz
