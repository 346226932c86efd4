"""LLaMA-Factory: the attention that its own code chooses for a model with a sliding window.

Its `flash_attn` setting goes through llamafactory.model.model_utils.attention.configure_attn_implementation, which writes
the choice into a Transformers config; the model is then made from that config and run as in transformers.py here. So a
window that the chosen attention ignores is seen whatever LLaMA-Factory says of it in warnings. Settings: auto (leaves the
model's own default), disabled (eager), sdpa, fa2 (which falls back to the default where FlashAttention-2 is not installed,
with a warning only).
"""
from __future__ import annotations

import importlib.util
import inspect
import sys
from importlib.metadata import version
from pathlib import Path

from llamafactory.hparams import ModelArguments
from llamafactory.model.model_utils.attention import configure_attn_implementation

REQUIRES = ["llamafactory", "transformers", "torch", "numpy"]
SETTINGS = ("auto", "disabled", "sdpa", "fa2")


def sibling(name: str):
    """The adapter beside this one; loaded by path, since the file is named as the package it tests."""
    spec = importlib.util.spec_from_file_location(f"attnfuzz_adapters_{name}", Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


transformers = sibling("transformers")


class Target(transformers.Target):
    """A model family with one of LLaMA-Factory's settings in place of an attention implementation."""

    version = f'{version("llamafactory")} (transformers {transformers.hf.__version__})'

    def __init__(self, family: str, setting: str):
        super().__init__(family, None)
        self.setting = setting
        self.name = f"llamafactory:{family}-{setting}"
        self.about = f"{family} with flash_attn: {setting}"

    def config(self, case: dict):
        config = super().config(case)
        arguments = ModelArguments(model_name_or_path="none", flash_attn=self.setting)
        trainable = {"is_trainable": False} if "is_trainable" in inspect.signature(configure_attn_implementation).parameters else {}
        configure_attn_implementation(config, arguments, **trainable)
        return config


def targets() -> list:
    return [Target(family, setting) for family in ("qwen2", "mistral") for setting in SETTINGS]
