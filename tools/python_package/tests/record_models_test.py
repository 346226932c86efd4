"""Small random models of Transformers recorded while they generate, on the newest release and on older ones with bugs.

The releases run in the pinned environments (attnfuzz env create transformers-4.51.0 …); what is not installed is
skipped.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "targets" / "python")]
import env
import recordings

NEWEST = "5.24.0"
RIGHT = [("llama", "sdpa"), ("llama", "eager"), ("llama-static", "sdpa"), ("llama-beams", "sdpa"), ("gemma3", "sdpa"),
         ("llama4", "sdpa"), ("gpt-oss", "eager"), ("qwen3-next", "sdpa"), ("whisper", "sdpa"), ("bart", "sdpa"),
         ("t5", "sdpa")]
LAYERS = {"llama": 2, "llama-static": 2, "llama-beams": 2, "gemma3": 6, "llama4": 4, "gpt-oss": 2,
          "qwen3-next": 1, "whisper": 2, "bart": 2}
"""Layers of causal attention; each has a Case by the configuration in each of four steps."""
SLIDING = {"llama4": "chunk", "gemma3": "window", "gpt-oss": "window"}


def record(release, model, implementation, folder):
    python = env.python(f"transformers-{release}")
    if not python.exists():
        pytest.skip(f"environment transformers-{release} is not installed")
    return subprocess.run([python, "-B", HERE / "recorded_models.py", model, implementation, folder],
                          capture_output=True, text=True)


def wrong(folder, which):
    return {(call.entry["layer"], call.entry["step"]) for call in recordings.calls(folder, which) if not call.right}


@pytest.mark.parametrize("model,implementation", RIGHT)
def test_the_newest_release_is_right(model, implementation, tmp_path):
    done = record(NEWEST, model, implementation, tmp_path)
    assert done.returncode == 0, done.stderr
    assert wrong(tmp_path, "case") == wrong(tmp_path, "by_config") == set()
    asked, config = recordings.calls(tmp_path), recordings.calls(tmp_path, "by_config")
    assert len(config) == 4 * LAYERS.get(model, 0) <= len(asked) and len(asked) > 0
    assert all(call.entry["module"].endswith(("attn", "Attention")) for call in asked)
    assert any(SLIDING.get(model, "causal") in call.rules for call in config) or not config
    assert not [each for each in recordings.load(tmp_path).get("not_kept", []) if "the recorder failed" in each["why"]]


FROM_STEP_1 = {(layer, step) for layer in (0, 1) for step in (1, 2, 3)}
EVERYWHERE = FROM_STEP_1 | {(0, 0), (1, 0)}
BUGS = [  # docs/upstream-notes.md; release, model, the layers and steps that are wrong by the configuration
    ("4.56.0", "mistral-window-1", FROM_STEP_1),  # the cache of a window of one token keeps all tokens
    (NEWEST, "mistral-window-1", FROM_STEP_1),
    ("4.51.0", "qwen2-no-window", EVERYWHERE),  # use_sliding_window=False has a window all the same
    ("4.48.3", "qwen2", EVERYWHERE),  # sdpa ignores the window
]


@pytest.mark.parametrize("release,model,expected", BUGS)
def test_documented_bugs_are_found_with_their_layer(release, model, expected, tmp_path):
    done = record(release, model, "sdpa", tmp_path)
    assert done.returncode == 0, done.stderr
    assert wrong(tmp_path, "case") == set() and wrong(tmp_path, "by_config") == expected


def test_an_error_between_the_layers_is_told_with_its_place(tmp_path):
    assert record("4.51.0", "llama4", "sdpa", tmp_path).returncode == 1
    (told,) = recordings.load(tmp_path)["not_kept"]
    assert told["why"] == (
        "the program raised RuntimeError: The size of tensor a (7) must match the size of tensor b (2) at "
        "non-singleton dimension 0, outside of attention calls in model (Llama4TextModel)")
    assert told["where"].endswith(" in _update_causal_mask")
