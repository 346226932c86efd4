#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "targets/target.h"

/// The CUDA targets on the CPU (emulated_block.h): "cuda-emu:flash" …, and with one line wrong each
/// "mutant:cuda-tile-not-awaited" ….
namespace attnfuzz::cuda {

std::span<const BuiltinTarget> emulated_targets();
bool is_emulated_name(std::string_view name);

struct Mutant {
  std::string_view name;    ///< "cuda-tile-not-awaited"
  std::string_view causes;  ///< as in zoo::Mutant
};
std::vector<Mutant> emulated_mutants();
/// "mutant:cuda-…"; null for a name that is none.
std::unique_ptr<Target> open_emulated_mutant(std::string_view name);

}  // namespace attnfuzz::cuda
