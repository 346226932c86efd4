#include "targets/specimens/specimens.h"

#include "targets/specimens/specimen.h"

namespace attnfuzz {

extern const Specimen beam_reorder_skipped, flash_window_off_by_one, gla_cache_offset,
    gqa_tiled_heads, llama4_chunked_eager, llama4_chunked_flex, llama4_flex_dynamic_cache,
    sdpa_causal_top_left, sdpa_fully_masked_nan, sdpa_masked_nan_leaks, sdpa_window_ignored,
    softcap_after_mask, xtransformers_memory_kv, xtransformers_memory_kv_flash;

namespace {

template <const Specimen& specimen, Form form>
std::unique_ptr<Target> open() {
  return open_specimen(specimen, form);
}

constexpr BuiltinTarget table[] = {
    {"specimen:beam-reorder-skipped", open<beam_reorder_skipped, Form::buggy>},
    {"fixed:beam-reorder-skipped", open<beam_reorder_skipped, Form::fixed>},
    {"specimen:flash-window-off-by-one", open<flash_window_off_by_one, Form::buggy>},
    {"fixed:flash-window-off-by-one", open<flash_window_off_by_one, Form::fixed>},
    {"specimen:gla-cache-offset", open<gla_cache_offset, Form::buggy>},
    {"fixed:gla-cache-offset", open<gla_cache_offset, Form::fixed>},
    {"specimen:gqa-tiled-heads", open<gqa_tiled_heads, Form::buggy>},
    {"fixed:gqa-tiled-heads", open<gqa_tiled_heads, Form::fixed>},
    {"specimen:llama4-chunked-eager", open<llama4_chunked_eager, Form::buggy>},
    {"fixed:llama4-chunked-eager", open<llama4_chunked_eager, Form::fixed>},
    {"specimen:llama4-chunked-flex", open<llama4_chunked_flex, Form::buggy>},
    {"fixed:llama4-chunked-flex", open<llama4_chunked_flex, Form::fixed>},
    {"specimen:llama4-flex-dynamic-cache", open<llama4_flex_dynamic_cache, Form::buggy>},
    {"fixed:llama4-flex-dynamic-cache", open<llama4_flex_dynamic_cache, Form::fixed>},
    {"specimen:sdpa-causal-top-left", open<sdpa_causal_top_left, Form::buggy>},
    {"fixed:sdpa-causal-top-left", open<sdpa_causal_top_left, Form::fixed>},
    {"specimen:sdpa-fully-masked-nan", open<sdpa_fully_masked_nan, Form::buggy>},
    {"fixed:sdpa-fully-masked-nan", open<sdpa_fully_masked_nan, Form::fixed>},
    {"specimen:sdpa-masked-nan-leaks", open<sdpa_masked_nan_leaks, Form::buggy>},
    {"fixed:sdpa-masked-nan-leaks", open<sdpa_masked_nan_leaks, Form::fixed>},
    {"specimen:sdpa-window-ignored", open<sdpa_window_ignored, Form::buggy>},
    {"fixed:sdpa-window-ignored", open<sdpa_window_ignored, Form::fixed>},
    {"specimen:softcap-after-mask", open<softcap_after_mask, Form::buggy>},
    {"fixed:softcap-after-mask", open<softcap_after_mask, Form::fixed>},
    {"specimen:xtransformers-memory-kv-one-head", open<xtransformers_memory_kv, Form::buggy>},
    {"fixed:xtransformers-memory-kv-one-head", open<xtransformers_memory_kv, Form::fixed>},
    {"specimen:xtransformers-memory-kv-one-head-flash",
     open<xtransformers_memory_kv_flash, Form::buggy>},
    {"fixed:xtransformers-memory-kv-one-head-flash",
     open<xtransformers_memory_kv_flash, Form::fixed>},
};

}  // namespace

std::span<const BuiltinTarget> specimen_targets() {
  return table;
}

}  // namespace attnfuzz
