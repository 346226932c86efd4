#include "targets/specimens/specimens.h"

#include "targets/specimens/specimen.h"

namespace attnfuzz {

extern const Specimen gla_cache_offset, llama4_chunked_eager, llama4_chunked_flex,
    llama4_flex_dynamic_cache, sdpa_window_ignored, xtransformers_memory_kv,
    xtransformers_memory_kv_flash;

namespace {

template <const Specimen& specimen, Form form>
std::unique_ptr<Target> open() {
  return open_specimen(specimen, form);
}

constexpr BuiltinTarget table[] = {
    {"specimen:gla-cache-offset", open<gla_cache_offset, Form::buggy>},
    {"fixed:gla-cache-offset", open<gla_cache_offset, Form::fixed>},
    {"specimen:llama4-chunked-eager", open<llama4_chunked_eager, Form::buggy>},
    {"fixed:llama4-chunked-eager", open<llama4_chunked_eager, Form::fixed>},
    {"specimen:llama4-chunked-flex", open<llama4_chunked_flex, Form::buggy>},
    {"fixed:llama4-chunked-flex", open<llama4_chunked_flex, Form::fixed>},
    {"specimen:llama4-flex-dynamic-cache", open<llama4_flex_dynamic_cache, Form::buggy>},
    {"fixed:llama4-flex-dynamic-cache", open<llama4_flex_dynamic_cache, Form::fixed>},
    {"specimen:sdpa-window-ignored", open<sdpa_window_ignored, Form::buggy>},
    {"fixed:sdpa-window-ignored", open<sdpa_window_ignored, Form::fixed>},
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
