#include "targets/zoo/zoo.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "targets/cpu/cpu.h"
#include "targets/zoo/kernel.h"
#include "targets/zoo/rope.h"
#include "targets/zoo/strided.h"

namespace attnfuzz::zoo {
namespace {

struct KernelEntry {
  std::string_view name;
  std::unique_ptr<Target> (*open)();  ///< whose claims it makes
};
constexpr KernelEntry kernels[] = {
    {"cpu:naive", open_cpu_naive},
    {"cpu:tiled", open_cpu_tiled},
    {"cpu:split-kv", open_cpu_split_kv},
    {"cpu:naive", open_cpu_naive},
    {"cpu:sparse", open_cpu_sparse},
    {"cpu:varlen", open_cpu_varlen},
    {"cpu:strided", open_cpu_strided},
    {"cpu:dense-cache", open_cpu_dense_cache},
    {"cpu:paged-cache", open_cpu_paged_cache},
    {"cpu:ring-cache", open_cpu_ring_cache},
};
const KernelEntry& entry(Kernel kernel) {
  return kernels[static_cast<size_t>(kernel)];
}

class ZooTarget : public Target {
 public:
  ZooTarget(Kernel kernel, Build build, std::string name, std::string_view about,
            const Mutation& mutation)
      : kernel_(kernel), build_(build), mutation_(mutation), info_(entry(kernel).open()->info()) {
    info_.name = std::move(name);
    info_.about = about;
    // Most kernels of the zoo have no rope, and give out alone.
    std::erase_if(info_.capabilities.features, [&](const std::string& word) {
      const bool more = word == "dropout" || parse_name<Output>(word).has_value();
      return (word.starts_with("rope") && !has_rope(kernel)) || (more && !gives_more(kernel));
    });
    const Tiles tile = tiles_of(build);
    for (auto& [axis, tiles] : info_.capabilities.tiles)
      tiles = {axis == "q_len" ? tile.queries : tile.keys};
    if (build == Build::served)
      for (const char* size : {"head_dim", "head_dim_v"})
        info_.capabilities.sizes[size] = {64, 256, 1};
  }
  const TargetInfo& info() const override { return info_; }

  Outcome run(const Case& c, const Inputs& inputs) override {
    if (std::string why = info_.capabilities.rejection_reason(c); !why.empty())
      return {Status::declined, std::move(why), {}};
    Outcome outcome;
    const Context context(mutation_, kernel_, build_, c, inputs);
    try {
      if (c.cached())
        run_cached(context, c, inputs, outcome.steps);
      else
        run_plain(context, as_read(mutation_, c, rotated(mutation_, c, inputs)), outcome.steps);
    } catch (const std::length_error& error) {
      outcome.status = Status::error;
      outcome.text = error.what();
    }
    return outcome;
  }

 private:
  Kernel kernel_;
  Build build_;
  Mutation mutation_;
  TargetInfo info_;
};

constexpr std::string_view family = "mutant:";

}  // namespace

std::span<const Mutant> mutants() {
  static const std::vector<Mutant> all = [] {
    std::vector<Mutant> joined;
    for (const auto& part :
         {mask_mutants(), sparse_mutants(), packed_mutants(), rope_mutants(), strided_mutants(),
          head_mutants(), score_mutants(), softmax_mutants(), backward_mutants(), step_mutants(),
          dense_mutants(), paged_mutants(), ring_mutants()})
      joined.insert(joined.end(), part.begin(), part.end());
    return joined;
  }();
  return all;
}

std::string_view name_of(Kernel kernel) {
  return entry(kernel).name;
}

bool gives_more(Kernel kernel) {
  return kernel == Kernel::backward;
}

std::unique_ptr<Target> open(const Mutant& mutant, Build build) {
  return std::make_unique<ZooTarget>(mutant.kernel, build, fmt::format("{}{}", family, mutant.name),
                                     mutant.about, Mutation(mutant.name));
}

std::unique_ptr<Target> open_clean(Kernel kernel, Build build) {
  return std::make_unique<ZooTarget>(kernel, build, fmt::format("clean:{}", entry(kernel).name),
                                     "nothing wrong", Mutation());
}

std::unique_ptr<Target> open_mutant(std::string_view name) {
  if (!name.starts_with(family)) return nullptr;
  const auto all = mutants();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Mutant& mutant) {
    return mutant.name == name.substr(family.size());
  });
  return found == all.end() ? nullptr : open(*found);
}

}  // namespace attnfuzz::zoo
