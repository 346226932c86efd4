#include "targets/cuda/emulated.h"

#include <fmt/format.h>

#include "targets/cuda/emulated_backend.h"
#include "targets/cuda/entries.h"
#include "targets/plugin.h"

namespace attnfuzz::cuda {
namespace {

/// The one backend of a thread.
struct Emulator : EmulatedBackend {
  static Emulator& instance() {
    thread_local Emulator backend;
    return backend;
  }
};

constexpr size_t count = std::size(entries<Emulator>);

template <size_t n>
std::unique_ptr<Target> open() {
  const attnfuzz_target& entry = entries<Emulator>[n];
  return open_plugin_entry(fmt::format("cuda-emu:{}", entry.name), entry);
}

constexpr BuiltinTarget table[] = {{"cuda-emu:flash", open<0>},
                                   {"cuda-emu:flash-graph", open<1>},
                                   {"cuda-emu:oracle", open<2>},
                                   {"cuda-emu:paged-decode", open<3>}};
static_assert(std::size(table) == count);

constexpr std::string_view family = "mutant:";

}  // namespace

std::span<const BuiltinTarget> emulated_targets() {
  return table;
}

bool is_emulated_name(std::string_view name) {
  return name.starts_with("cuda-emu:") || name.starts_with("mutant:cuda-");
}

std::vector<Mutant> emulated_mutants() {
  std::vector<Mutant> all;
  for (const CudaMutant& mutant : mutants<Emulator>)
    all.push_back({mutant.entry.name, mutant.causes});
  return all;
}

std::unique_ptr<Target> open_emulated_mutant(std::string_view name) {
  if (!name.starts_with(family)) return nullptr;
  for (const CudaMutant& mutant : mutants<Emulator>)
    if (name.substr(family.size()) == mutant.entry.name)
      return open_plugin_entry(std::string(name), mutant.entry);
  return nullptr;
}

}  // namespace attnfuzz::cuda
