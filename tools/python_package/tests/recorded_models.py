"""Small random models of Transformers, recorded while they generate (with padding, and a cache): `recorded_models.py
MODEL IMPL DIR`.

A program of its own, because each release of Transformers has an environment of its own. DIR gets the recording.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
import transformers as hf
from attnfuzz_record import record

SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=128, pad_token_id=0, bos_token_id=1,
             eos_token_id=None)
LLAMA4 = SMALL | dict(num_hidden_layers=4, num_local_experts=1, num_experts_per_tok=1, intermediate_size_mlp=32,
                      attention_chunk_size=4)
GPT_OSS = SMALL | dict(num_local_experts=2, num_experts_per_tok=1, sliding_window=4)
QWEN3_NEXT = SMALL | dict(num_hidden_layers=4, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16,
                          shared_expert_intermediate_size=16, linear_key_head_dim=8, linear_value_head_dim=8,
                          linear_num_key_heads=2, linear_num_value_heads=4)
WHISPER = dict(vocab_size=64, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
               decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=8,
               max_source_positions=10, max_target_positions=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
               decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None)
T5 = dict(vocab_size=64, d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=4, decoder_start_token_id=0,
          pad_token_id=0, eos_token_id=1)
BART = dict(vocab_size=64, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=32,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, forced_eos_token_id=None)
QWEN2 = SMALL | dict(sliding_window=3, max_window_layers=0)
STATIC = dict(cache_implementation="static", disable_compile=True)
MODELS = {  # class, configuration, its settings, more arguments of generate()
    "llama": ("LlamaForCausalLM", "LlamaConfig", SMALL, {}),
    "llama-static": ("LlamaForCausalLM", "LlamaConfig", SMALL, STATIC),
    "llama-beams": ("LlamaForCausalLM", "LlamaConfig", SMALL, dict(num_beams=2)),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", SMALL | dict(sliding_window=4), {}),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", SMALL | dict(sliding_window=4, num_hidden_layers=6), {}),
    "llama4": ("Llama4ForCausalLM", "Llama4TextConfig", LLAMA4, {}),
    "gpt-oss": ("GptOssForCausalLM", "GptOssConfig", GPT_OSS, {}),
    "mistral-window-1": ("MistralForCausalLM", "MistralConfig", SMALL | dict(sliding_window=1), {}),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", QWEN2 | dict(use_sliding_window=True), {}),
    "qwen2-no-window": ("Qwen2ForCausalLM", "Qwen2Config", QWEN2 | dict(use_sliding_window=False), {}),
    "qwen3-next": ("Qwen3NextForCausalLM", "Qwen3NextConfig", QWEN3_NEXT, {}),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", WHISPER, {}),
    "bart": ("BartForConditionalGeneration", "BartConfig", BART, {}),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5, {}),
}


def main(name: str, implementation: str, directory: str) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model_class, config_class, settings, more = MODELS[name]
    config = getattr(hf, config_class)(**settings, attn_implementation=implementation)
    model = getattr(hf, model_class)(config).eval()
    for parameter in model.parameters():  # sinks are made without values
        torch.nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(3, 64, (2, 7))
    mask = torch.ones_like(ids)
    mask[0, :3] = ids[0, :3] = 0
    inputs = dict(input_ids=ids, attention_mask=mask)
    if name == "whisper":
        inputs = dict(input_features=torch.randn(2, 8, 20), decoder_input_ids=ids[:, 3:])
    with record(directory, about=f"{name}, {implementation}"), torch.no_grad():
        model.generate(**inputs, max_new_tokens=4, do_sample=False, use_cache=True, **more)


if __name__ == "__main__":
    main(*sys.argv[1:])
