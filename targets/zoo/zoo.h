#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "targets/target.h"

/// The bug zoo: kernels and caches like the built-in ones, with one line wrong each. They measure
/// the fuzzer: see tools/bench/zoo.sh and docs/zoo.md.
namespace attnfuzz::zoo {

enum class Kernel : uint8_t {
  naive,
  tiled,
  split_kv,
  backward,  ///< naive, with the log-sum-exp, dropout and gradients
  sparse,
  varlen,   ///< packed sequences
  strided,  ///< views of larger tensors
  dense_cache,
  paged_cache,
  ring_cache
};

/// For which sizes a kernel is built: those of the smallest cases, or those of served models.
enum class Build : uint8_t { small, served };
/// How many queries and keys a tile of it has.
struct Tiles {
  int64_t queries, keys;
};
constexpr Tiles tiles_of(Build build) {
  return build == Build::small ? Tiles{16, 16} : Tiles{64, 128};
}

struct Mutant {
  std::string_view name;       ///< "causal-one-more": the target is "mutant:causal-one-more"
  std::string_view about;      ///< the line's mistake
  Kernel kernel;               ///< whose line it is
  std::string_view causes;     ///< names that are right for it, separated by blanks, the best first
  std::string_view says = "";  ///< what a measurement says that is right for it; "a|b": one of them
};

// The parts of the table, each beside the code that it changes.
std::span<const Mutant> mask_mutants();
std::span<const Mutant> sparse_mutants();
std::span<const Mutant> packed_mutants();
std::span<const Mutant> rope_mutants();
std::span<const Mutant> strided_mutants();
std::span<const Mutant> head_mutants();
std::span<const Mutant> score_mutants();
std::span<const Mutant> softmax_mutants();
std::span<const Mutant> backward_mutants();
std::span<const Mutant> step_mutants();
std::span<const Mutant> dense_mutants();
std::span<const Mutant> paged_mutants();
std::span<const Mutant> ring_mutants();

/// All of them.
std::span<const Mutant> mutants();

/// The name of the built-in target that a kernel is like: "cpu:tiled".
std::string_view name_of(Kernel kernel);
/// Whether it gives more than `out`, and has dropout.
bool gives_more(Kernel kernel);

std::unique_ptr<Target> open(const Mutant& mutant, Build build = Build::small);
/// The same kernel with nothing wrong.
std::unique_ptr<Target> open_clean(Kernel kernel, Build build = Build::small);
/// "mutant:NAME"; null for a name that is none.
std::unique_ptr<Target> open_mutant(std::string_view name);

}  // namespace attnfuzz::zoo
