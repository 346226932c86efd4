#pragma once
#include "targets/cuda/claims.h"
#include "targets/cuda/flash_target.h"
#include "targets/cuda/paged_target.h"

/// The targets of this folder for a backend, as entries of a plug-in's list.
namespace attnfuzz::cuda {

inline constexpr const char* version = "1";

template <class Backend, Mistake mistake = Mistake::none>
constexpr attnfuzz_target flash_entry(const char* name, const char* about) {
  return {name,    version, about,   flash_claims, flash<Backend, mistake>,
          nullptr, nullptr, nullptr, nullptr};
}
template <class Backend, Mistake mistake = Mistake::none>
constexpr attnfuzz_target paged_entry(const char* name, const char* about) {
  return {name,
          version,
          about,
          paged_claims,
          nullptr,
          paged_open<Backend, mistake>,
          paged_step<Backend>,
          paged_length<Backend>,
          paged_close<Backend>};
}

template <class Backend>
inline constexpr attnfuzz_target entries[] = {
    flash_entry<Backend>("flash", "tiles with the online softmax, on tensor cores but for f32"),
    {"flash-graph", version, "flash, captured in a CUDA graph and replayed", flash_claims,
     flash<Backend, Mistake::none, Launch::graph>, nullptr, nullptr, nullptr, nullptr},
    {"oracle", version, "flash in double precision", flash_f64_claims, flash_f64<Backend>, nullptr,
     nullptr, nullptr, nullptr},
    paged_entry<Backend>("paged-decode",
                         "a cache in pages, keys in parts that the last one merges"),
};

/// One line of a kernel wrong each. `causes` as in zoo::Mutant.
struct CudaMutant {
  attnfuzz_target entry;
  const char* causes;
};
template <class Backend>
inline constexpr CudaMutant mutants[] = {
    {flash_entry<Backend, Mistake::tile_not_awaited>(
         "cuda-tile-not-awaited", "no __syncthreads between loading a tile and reading it"),
     "shared-race"},
    {flash_entry<Backend, Mistake::tile_overwritten>(
         "cuda-tile-overwritten", "no __syncthreads between reading a tile and loading the next"),
     "shared-race"},
    {flash_entry<Backend, Mistake::tail_not_masked>("cuda-tail-not-masked",
                                                    "the zeros behind the last key count as keys"),
     "keys-tail-32-zeros"},
    {flash_entry<Backend, Mistake::tail_not_guarded>(
         "cuda-tail-not-guarded", "the last tile is loaded to its end, past the tensor"),
     "global-out-of-bounds"},
    {flash_entry<Backend, Mistake::value_stride>(
         "cuda-value-stride", "the value tile is read with the stride of wider keys, past its end"),
     "shared-out-of-bounds"},
    {flash_entry<Backend, Mistake::head_stride_ignored>(
         "cuda-head-stride-ignored", "heads are taken to lie one after the other"),
     "kv-other-layout"},
    {flash_entry<Backend, Mistake::offset_32>("cuda-offset-32",
                                              "offsets into tensors are computed in 32 bits"),
     "offset-wrapped"},
    {paged_entry<Backend, Mistake::offset_32>("cuda-page-offset-32",
                                              "offsets into the pages are computed in 32 bits"),
     "offset-wrapped"},
    {paged_entry<Backend, Mistake::merge_by_index>(
         "cuda-merge-by-index", "the last part merges, not the one that ends last"),
     "read-before-written"},
    {paged_entry<Backend, Mistake::page_of_first_row>("cuda-page-of-first-row",
                                                      "every row walks the first row's table"),
     "kv-first-row"},
};

}  // namespace attnfuzz::cuda
