"""What a layer's configuration demands, by the settings' documentation: configurations of several shapes, without a
model.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from attnfuzz_record._config import Local, local_attention
from attnfuzz_record._errors import NotSaid


def config(**settings):
    """An object of a class that knows these settings."""
    class Config:
        def __init__(self):
            vars(self).update(settings)

    Config.__annotations__ = dict.fromkeys(settings, object)
    return Config()


TYPES = ["sliding_attention", "full_attention", "chunked_attention"]
WINDOW, CHUNK, FULL = Local(window=4), Local(chunk=8), Local()
CONFIGS = {  # settings → what layers 0, 1, 2 see
    "no window": ({}, [FULL, FULL, FULL]),
    "layer types": (dict(layer_types=TYPES, sliding_window=4, attention_chunk_size=8), [WINDOW, FULL, Local(chunk=8)]),
    "one for all": (dict(sliding_window=4), [WINDOW] * 3),
    "switched off": (dict(sliding_window=4, use_sliding_window=False), [FULL] * 3),
    "from a layer on": (dict(sliding_window=4, use_sliding_window=True, max_window_layers=2), [FULL, FULL, WINDOW]),
    "every third is global": (dict(sliding_window=4, sliding_window_pattern=3), [WINDOW, WINDOW, FULL]),
    "letters": (dict(sliding_window=4, sliding_window_pattern="LG"), [WINDOW, FULL, WINDOW]),
    "every other": (dict(sliding_window=4, model_type="gemma2"), [WINDOW, FULL, WINDOW]),
    "chunks with RoPE": (dict(attention_chunk_size=8, no_rope_layers=[1, 0, 1]), [CHUNK, FULL, CHUNK]),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_each_layer_sees(name):
    settings, expected = CONFIGS[name]
    assert [local_attention(config(**settings), layer) for layer in range(3)] == expected


def test_a_setting_that_the_class_does_not_know_means_nothing():
    stray = config(sliding_window=4)
    stray.sliding_window_pattern = 2
    assert local_attention(stray, 1) == WINDOW


@pytest.mark.parametrize("settings", [dict(layer_types=["linear_attention"]),
                                      dict(layer_types=["full_attention", "linear_attention"], sliding_window=4)])
def test_what_the_settings_leave_open_is_not_said(settings):
    with pytest.raises(NotSaid):
        local_attention(config(**settings), 0)
