#include <fmt/format.h>

#include <algorithm>

#include "oracle/suggest.h"
#include "targets/cpu/cpu.h"
#include "targets/cuda/device.h"
#include "targets/cuda/emulated.h"
#include "targets/hostile/hostile.h"
#include "targets/plugin.h"
#include "targets/remote.h"
#include "targets/specimens/specimens.h"
#include "targets/target.h"
#include "targets/zoo/zoo.h"

namespace attnfuzz {
namespace {

constexpr BuiltinTarget cpu_targets[] = {
    {"cpu:naive", open_cpu_naive},
    {"cpu:tiled", open_cpu_tiled},
    {"cpu:split-kv", open_cpu_split_kv},
    {"cpu:sparse", open_cpu_sparse},
    {"cpu:varlen", open_cpu_varlen},
    {"cpu:strided", open_cpu_strided},
    {"cpu:fp8", open_cpu_fp8},
    {"cpu:dense-cache", open_cpu_dense_cache},
    {"cpu:paged-cache", open_cpu_paged_cache},
    {"cpu:ring-cache", open_cpu_ring_cache},
    {"cpu:chunked-cache", open_cpu_chunked_cache},
    {"cpu:hybrid-cache", open_cpu_hybrid_cache},
    {"cpu:sink-window-cache", open_cpu_sink_window_cache},
    {"cpu:quantised-cache", open_cpu_quantised_cache},
    {"cpu:cross-cache", open_cpu_cross_cache},
    {"cpu:linear-recurrent", open_cpu_linear_recurrent},
    {"cpu:linear-chunked", open_cpu_linear_chunked},
};

}  // namespace

std::span<const BuiltinTarget> builtin_targets() {
  static const std::vector<BuiltinTarget> all = [] {
    std::vector<BuiltinTarget> joined(std::begin(cpu_targets), std::end(cpu_targets));
    for (const std::span<const BuiltinTarget> part : {cuda::emulated_targets(), specimen_targets()})
      joined.insert(joined.end(), part.begin(), part.end());
    return joined;
  }();
  return all;
}

bool is_python_name(std::string_view name) {
  static constexpr std::string_view builtin_families[] = {
      "cpu:", "cuda:", "cuda-emu:", "specimen:", "fixed:", "mutant:", "hostile:"};
  return !is_plugin_name(name) && name.find(':') != std::string_view::npos &&
         std::none_of(std::begin(builtin_families), std::end(builtin_families),
                      [&](std::string_view family) { return name.starts_with(family); });
}

std::unique_ptr<Target> open_target(const std::string& name) {
  for (const BuiltinTarget& target : builtin_targets())
    if (target.name == name) return target.open();
  if (auto mutant = zoo::open_mutant(name)) return mutant;
  if (auto mutant = cuda::open_emulated_mutant(name)) return mutant;
  if (cuda::is_cuda_name(name)) return cuda::open_device_target(name);
  if (is_hostile_name(name)) return open_hostile(name);
  if (is_plugin_name(name)) return open_plugin(name);
  if (is_python_name(name)) return open_python_target(name);
  std::vector<std::string> known;
  for (const BuiltinTarget& target : builtin_targets()) known.emplace_back(target.name);
  throw InputError(name, "",
                   "expected a built-in target, a plug-in's path (./mine.so) or package:target" +
                       did_you_mean(name, known) + " (see: attnfuzz targets)");
}

}  // namespace attnfuzz
