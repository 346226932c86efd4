#include "targets/specimens/specimens.h"

#include "targets/specimens/specimen.h"

namespace attnfuzz {

extern const Specimen beam_reorder_skipped, flash_window_off_by_one, gla_cache_offset,
    gqa_tiled_heads, llama4_chunked_eager, llama4_chunked_flex, llama4_flex_dynamic_cache,
    sdpa_causal_top_left, sdpa_fully_masked_nan, sdpa_masked_nan_leaks, sdpa_window_ignored,
    nki_dropout_backward, nsa_dq_value_size, nsa_interleaved_dkdv, softcap_after_mask,
    xtransformers_memory_kv, xtransformers_memory_kv_flash;

extern const Specimen crop_zero_ignored, eviction_causal_by_slot, eviction_rewinds_offset,
    fork_shares_tail_page, hybrid_capacity_of_window, left_padding_one_position,
    ring_overwritten_before_read, shift_delta_replaced, shift_first_row_only, sink_keys_not_shifted,
    sink_window_drops_newest, sliding_cache_rolls_early, window_length_of_dropped,
    window_of_first_query;

extern const Specimen gla_layer_offset, gdn_cached_chunk_restarts, mamba2_batch_one_restarts,
    mamba2_decay_from_chunk, mamba_padded_tail, state_reorder_skipped, fused_chunk_gla_head_first,
    gla_gates_divided, gated_delta_state_narrow, retention_last_chunk_decay;
extern const Specimen cross_cut_to_window, cross_lengths_ignored, quant_reorder_skipped,
    quant_scale_of_first_head, quant_scales_ignored, rope_new_keys_not_turned,
    rope_offset_of_first_call, rope_turned_twice;

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
    {"specimen:nki-dropout-backward", open<nki_dropout_backward, Form::buggy>},
    {"fixed:nki-dropout-backward", open<nki_dropout_backward, Form::fixed>},
    {"specimen:nsa-dq-value-size", open<nsa_dq_value_size, Form::buggy>},
    {"fixed:nsa-dq-value-size", open<nsa_dq_value_size, Form::fixed>},
    {"specimen:nsa-interleaved-dkdv", open<nsa_interleaved_dkdv, Form::buggy>},
    {"fixed:nsa-interleaved-dkdv", open<nsa_interleaved_dkdv, Form::fixed>},
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
    {"specimen:crop-zero-ignored", open<crop_zero_ignored, Form::buggy>},
    {"fixed:crop-zero-ignored", open<crop_zero_ignored, Form::fixed>},
    {"specimen:eviction-causal-by-slot", open<eviction_causal_by_slot, Form::buggy>},
    {"fixed:eviction-causal-by-slot", open<eviction_causal_by_slot, Form::fixed>},
    {"specimen:eviction-rewinds-offset", open<eviction_rewinds_offset, Form::buggy>},
    {"fixed:eviction-rewinds-offset", open<eviction_rewinds_offset, Form::fixed>},
    {"specimen:fork-shares-tail-page", open<fork_shares_tail_page, Form::buggy>},
    {"fixed:fork-shares-tail-page", open<fork_shares_tail_page, Form::fixed>},
    {"specimen:hybrid-capacity-of-window", open<hybrid_capacity_of_window, Form::buggy>},
    {"fixed:hybrid-capacity-of-window", open<hybrid_capacity_of_window, Form::fixed>},
    {"specimen:left-padding-one-position", open<left_padding_one_position, Form::buggy>},
    {"fixed:left-padding-one-position", open<left_padding_one_position, Form::fixed>},
    {"specimen:ring-overwritten-before-read", open<ring_overwritten_before_read, Form::buggy>},
    {"fixed:ring-overwritten-before-read", open<ring_overwritten_before_read, Form::fixed>},
    {"specimen:shift-delta-replaced", open<shift_delta_replaced, Form::buggy>},
    {"fixed:shift-delta-replaced", open<shift_delta_replaced, Form::fixed>},
    {"specimen:shift-first-row-only", open<shift_first_row_only, Form::buggy>},
    {"fixed:shift-first-row-only", open<shift_first_row_only, Form::fixed>},
    {"specimen:sink-keys-not-shifted", open<sink_keys_not_shifted, Form::buggy>},
    {"fixed:sink-keys-not-shifted", open<sink_keys_not_shifted, Form::fixed>},
    {"specimen:sink-window-drops-newest", open<sink_window_drops_newest, Form::buggy>},
    {"fixed:sink-window-drops-newest", open<sink_window_drops_newest, Form::fixed>},
    {"specimen:sliding-cache-rolls-early", open<sliding_cache_rolls_early, Form::buggy>},
    {"fixed:sliding-cache-rolls-early", open<sliding_cache_rolls_early, Form::fixed>},
    {"specimen:window-length-of-dropped", open<window_length_of_dropped, Form::buggy>},
    {"fixed:window-length-of-dropped", open<window_length_of_dropped, Form::fixed>},
    {"specimen:window-of-first-query", open<window_of_first_query, Form::buggy>},
    {"fixed:window-of-first-query", open<window_of_first_query, Form::fixed>},
    {"specimen:gla-layer-offset", open<gla_layer_offset, Form::buggy>},
    {"fixed:gla-layer-offset", open<gla_layer_offset, Form::fixed>},
    {"specimen:gdn-cached-chunk-restarts", open<gdn_cached_chunk_restarts, Form::buggy>},
    {"fixed:gdn-cached-chunk-restarts", open<gdn_cached_chunk_restarts, Form::fixed>},
    {"specimen:mamba2-batch-one-restarts", open<mamba2_batch_one_restarts, Form::buggy>},
    {"fixed:mamba2-batch-one-restarts", open<mamba2_batch_one_restarts, Form::fixed>},
    {"specimen:mamba2-decay-from-chunk", open<mamba2_decay_from_chunk, Form::buggy>},
    {"fixed:mamba2-decay-from-chunk", open<mamba2_decay_from_chunk, Form::fixed>},
    {"specimen:mamba-padded-tail", open<mamba_padded_tail, Form::buggy>},
    {"fixed:mamba-padded-tail", open<mamba_padded_tail, Form::fixed>},
    {"specimen:state-reorder-skipped", open<state_reorder_skipped, Form::buggy>},
    {"fixed:state-reorder-skipped", open<state_reorder_skipped, Form::fixed>},
    {"specimen:fused-chunk-gla-head-first", open<fused_chunk_gla_head_first, Form::buggy>},
    {"fixed:fused-chunk-gla-head-first", open<fused_chunk_gla_head_first, Form::fixed>},
    {"specimen:gla-gates-divided", open<gla_gates_divided, Form::buggy>},
    {"fixed:gla-gates-divided", open<gla_gates_divided, Form::fixed>},
    {"specimen:gated-delta-state-narrow", open<gated_delta_state_narrow, Form::buggy>},
    {"fixed:gated-delta-state-narrow", open<gated_delta_state_narrow, Form::fixed>},
    {"specimen:retention-last-chunk-decay", open<retention_last_chunk_decay, Form::buggy>},
    {"fixed:retention-last-chunk-decay", open<retention_last_chunk_decay, Form::fixed>},
    {"specimen:cross-cut-to-window", open<cross_cut_to_window, Form::buggy>},
    {"fixed:cross-cut-to-window", open<cross_cut_to_window, Form::fixed>},
    {"specimen:cross-lengths-ignored", open<cross_lengths_ignored, Form::buggy>},
    {"fixed:cross-lengths-ignored", open<cross_lengths_ignored, Form::fixed>},
    {"specimen:quant-reorder-skipped", open<quant_reorder_skipped, Form::buggy>},
    {"fixed:quant-reorder-skipped", open<quant_reorder_skipped, Form::fixed>},
    {"specimen:quant-scale-of-first-head", open<quant_scale_of_first_head, Form::buggy>},
    {"fixed:quant-scale-of-first-head", open<quant_scale_of_first_head, Form::fixed>},
    {"specimen:quant-scales-ignored", open<quant_scales_ignored, Form::buggy>},
    {"fixed:quant-scales-ignored", open<quant_scales_ignored, Form::fixed>},
    {"specimen:rope-new-keys-not-turned", open<rope_new_keys_not_turned, Form::buggy>},
    {"fixed:rope-new-keys-not-turned", open<rope_new_keys_not_turned, Form::fixed>},
    {"specimen:rope-offset-of-first-call", open<rope_offset_of_first_call, Form::buggy>},
    {"fixed:rope-offset-of-first-call", open<rope_offset_of_first_call, Form::fixed>},
    {"specimen:rope-turned-twice", open<rope_turned_twice, Form::buggy>},
    {"fixed:rope-turned-twice", open<rope_turned_twice, Form::fixed>},
};

}  // namespace

std::span<const BuiltinTarget> specimen_targets() {
  return table;
}

}  // namespace attnfuzz
