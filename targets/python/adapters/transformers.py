"""Hugging Face Transformers: whole one-layer models, so that their own mask making and caches are under test.

How the exact answer is had: q_proj, k_proj and v_proj are replaced by modules that return the case's q, k, v
([batch, len, heads * head_dim]), position_ids are all zero (RoPE is then the identity, exactly), QK norm and temperature
tuning are off by config, and the attention's output is read by a hook in front of o_proj. All else (the model's forward,
its mask, its cache, its attention function) is the package's own code, unpatched.

Words: a window rule's `left` counts the tokens before the query, Transformers' sliding_window counts the query too
(left = sliding_window - 1); a chunk rule's `size` is attention_chunk_size, counted from slot 0 up to 4.55, from the row's
first token since 4.56. Rows that see no key may hold anything. Rows of a ragged step are padded on the left, as generate()
does; the padding is taken off the length that the cache reports.

"-fp8" is QuantizedCache(backend="fp8") with one KV head: a scale for all keys, one for all values, that its first tokens set, which are
read unrounded; "-quanto" the one of 4-bit numbers, which holds all but the last tokens. The case's scales come in with a token in front of all rows, which is padding: its largest element is 448 scales.

"-uncompiled" runs flex_attention under torch.compiler.set_stance("force_eager"): the same package code, without Inductor.
"""
from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
import transformers as hf
from attnfuzz_modules import Known
from attnfuzz_worker import merge_heads, rule, split_heads

REQUIRES = ["transformers", "torch", "numpy"]
VERSION = tuple(int(n) for n in hf.__version__.split(".")[:2])


@dataclass(frozen=True)
class Family:
    """One model family: where it lives, its fixed settings, and which options it takes."""

    module: str
    model: str
    config: str
    settings: dict = field(default_factory=dict)
    implementations: tuple = ("eager", "sdpa", "flex_attention")
    window: bool = False
    layer_types: bool = False  # in newer releases the window is on where layer_types says so, and can't be None
    chunk: bool = False
    features: tuple = ()


FAMILIES = {
    "llama": Family("llama", "LlamaModel", "LlamaConfig"),
    "llama4": Family("llama4", "Llama4TextModel", "Llama4TextConfig", dict(
        attn_temperature_tuning=False, use_qk_norm=False, num_local_experts=1, num_experts_per_tok=1, moe_layers=[],
        intermediate_size_mlp=8), chunk=True),
    "mistral": Family("mistral", "MistralModel", "MistralConfig", window=True),
    "qwen2": Family("qwen2", "Qwen2Model", "Qwen2Config", dict(max_window_layers=0), window=True, layer_types=True),
    "gemma2": Family("gemma2", "Gemma2Model", "Gemma2Config", dict(hidden_activation="gelu"), ("eager", "flex_attention"),
                     window=True, layer_types=True, features=("softcap",)),
    "gpt_oss": Family("gpt_oss", "GptOssModel", "GptOssConfig", dict(  # its experts ask for rows of a multiple of 16 bytes
        hidden_size=16, num_local_experts=1, num_experts_per_tok=1, rope_scaling=dict(rope_type="default", rope_theta=1e4)), ("eager",),
        window=True, layer_types=True, features=("sinks",)),
}
CACHES = {"dynamic": "DynamicCache", "fixed": "StaticCache"}
ON_CUDA = {"eager": {"exp_ulps": 20}, "flex_attention": {"exp_ulps": 20},
           "sdpa": {"exp_ulps": 20, "truncates": True, "factor_bits": 20}}
"""How f32 is computed on CUDA: PyTorch's defaults (no TF32 in matmul); sdpa may take the memory-efficient kernel (adapter torch)."""
BOUNDED = {"mistral": "SlidingWindowCache", "gemma2": "HybridCache", "llama4": "HybridChunkedCache"}
"""Cache classes of 4.42 to 4.55 for models with local attention; StaticCache took their work over."""


def has(cache: str, operation: str) -> bool:
    """Whether a cache class (or, in newer releases, its layers) has this operation."""
    layer = {"DynamicCache": "DynamicLayer", "StaticCache": "StaticLayer"}.get(cache, cache)
    return hasattr(getattr(hf.cache_utils, layer, None) or getattr(hf, cache), operation)


def shift(array: np.ndarray, lens: list, back: bool = False) -> np.ndarray:
    """[batch, len, …]: each row's first lens[b] tokens moved to the row's end, or back."""
    count = array.shape[1]
    return np.stack([np.roll(row, (n - count) if back else (count - n), axis=0) for row, n in zip(array, lens)])


def slots_needed(case: dict) -> int:
    """The most slots of a row that are filled at once: the padding of ragged steps fills some too."""
    filled = most = 0
    for step in case["steps"]:
        filled = {"reset": 0, "crop": min(filled, step.get("length", 0)), "reorder": filled}.get(step["op"], filled + step.get("q_len", 0))
        most = max(most, filled)
    return most


class Session:
    """A model with a cache (or none): keeps which slots of each row hold a token ([batch, slots])."""

    def __init__(self, target: "Target", case: dict, tensors: dict):
        self.case, self.target = case, target
        self.model = target.model(case, tensors)
        self.cache = target.cache(case, self.model.config) if case.get("steps") else None
        self.positions = self.cache and "cache_position" in inspect.signature(self.model.forward).parameters  # as generate()
        self.real = np.zeros((case["problem"]["batch"], 0), dtype=bool)

    def attend(self, q, k, v, real: np.ndarray) -> np.ndarray:
        """One forward of the model; q, k, v in the case's layout, `real` [batch, q_len] tells tokens from padding."""
        attention, heads, device = self.model.layers[0].self_attn, self.case["problem"]["num_heads"], self.target.device
        lens, batch, q_len = real.sum(1), *real.shape
        ragged = bool(self.case.get("steps")) and not real.all()
        for module, array in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v)):
            rows = merge_heads(self.case, array)
            module.value = torch.from_numpy(shift(rows, lens) if ragged else rows).to(device)
        past = self.real.shape[1]
        self.real = np.concatenate([self.real, shift(real, lens) if ragged else real], axis=1)
        more = {"cache_position": torch.arange(past, past + q_len, device=device)} if self.positions else {}
        with torch.compiler.set_stance("default" if self.target.compiled else "force_eager"):
            rows = self.target.attended(
                self.model, inputs_embeds=torch.zeros(batch, q_len, self.model.config.hidden_size, device=device),
                attention_mask=torch.from_numpy(self.real.astype(np.int64)).to(device),
                position_ids=torch.zeros(batch, q_len, dtype=torch.long, device=device),
                past_key_values=self.cache, use_cache=self.cache is not None, **more)
        rows = rows.reshape(batch, q_len, -1).cpu().numpy()
        return split_heads(self.case, shift(rows, lens, back=True) if ragged else rows, heads)

    def lengths(self) -> list[int]:
        """What the cache reports, less the padding put into each row."""
        return [int(self.cache.get_seq_length()) - int(n) for n in (~self.real).sum(1)]

    def step(self, step: dict, q, k, v) -> dict:
        out = None
        if step["op"] == "crop":
            self.cache.crop(step["length"] - self.real.shape[1])  # every release takes minus the number to remove
            self.real = self.real[:, : step["length"]]
        elif step["op"] == "reorder":
            self.cache.reorder_cache(torch.tensor(step["rows"], device=self.target.device))
            self.real = self.real[step["rows"]]
        elif step["op"] == "reset":
            self.cache.reset()
            self.real = self.real[:, :0]
        else:
            lens = step.get("lens") or [step["q_len"]] * len(self.real)
            out = self.attend(q, k, v, np.arange(step["q_len"]) < np.array(lens)[:, None])
        return {"out": out} | ({"lengths": self.lengths()} if self.target.counts else {})


class Target:
    """A model family with one attention implementation, and a cache class for `fixed` where it isn't StaticCache."""

    version = hf.__version__

    def __init__(self, family: str, implementation: str | None, compiled: bool = True, fixed: str = "StaticCache",
                 device: str = "cpu"):
        self.family, self.implementation, self.compiled, self.device = FAMILIES[family], implementation, compiled, device
        self.caches = {kind: fixed if kind == "fixed" else name for kind, name in CACHES.items()}
        self.counts = fixed == "StaticCache"  # the older classes count the slots they keep, by their own documentation
        self.name = f"transformers:{family}-" + str(implementation).split("_")[0] + "-uncompiled" * (not compiled)
        self.about = f"{self.family.model}, attn_implementation {implementation}" + ", not compiled" * (not compiled)
        if fixed != "StaticCache":
            self.name, self.about = f"{self.name}-{fixed}", f"{self.about}, {fixed}"
        if device != "cpu":
            self.name, self.about = f"{self.name}-{device}", f"{self.about}, on {device.upper()}"
        self.capabilities = self.claims()

    def claims(self) -> dict:
        """What the package's documentation promises for this target, in the words of targets/capabilities.h."""
        f, flex = self.family, self.implementation == "flex_attention"
        origin = "token" if VERSION >= (4, 56) else "slot"
        other = "slot" if origin == "token" else "token"
        features = ["dtype:f32", "layout:bhsd", "layout:bshd", "gqa", "mqa", "ragged", "rule:causal", "rule:padding",
                    "padding.side:left", "padding.side:right", "fully_masked:any", *f.features]
        features += [f"cache:{kind}" for kind in self.caches] + [f"step:{op}" for op in ("prefill", "append", "decode", "reorder")]
        excludes = [["rule:padding", f"cache:{kind}"] for kind in self.caches]
        needs = [["dtype:f32", "rule:causal"]]
        for operation in ("crop", "reset"):
            able = [kind for kind, name in self.caches.items() if has(name, operation)]
            features += [f"step:{operation}"] if able else []
            excludes += [[f"step:{operation}", f"cache:{kind}"] for kind in self.caches if able and kind not in able]
            excludes += [["ragged", "step:crop"]] if operation == "crop" and able else []
        if f.window:
            features += ["rule:window"]
            excludes += [["rule:window", "ragged"], ["rule:window", "step:crop"]]
        if f.chunk:
            features += ["rule:chunk", "chunk.origin:slot", "chunk.origin:token"]
            excludes += [["rule:chunk", "ragged"], ["rule:chunk", "step:crop"], ["rule:padding", f"chunk.origin:{other}"]]
            needs += [["dtype:f32", "rule:chunk"]]
        known = set(features)
        return {
            "sizes": {"batch": [1, 4], "num_heads": [1, 8], "num_kv_heads": [1, 8], "q_len": [1, 48], "kv_len": [1, 64],
                      "head_dim": [16, 64, 16] if flex else [2, 64, 2], "head_dim_v": [1, 64], "steps": [0, 6],
                      "capacity": [0, 64]},
            "features": sorted(known), "requires": needs, "excludes": [e for e in excludes if set(e) <= known],
            "params": {"window.right": [0, 0]} if f.window else {},
        } | (self.claims_on_cuda() if self.device == "cuda" else {})

    def claims_on_cuda(self) -> dict:
        precision = {"precision": {"f32": ON_CUDA[self.implementation]}}
        sizes = ["batch", "num_heads", "num_kv_heads", "q_len", "kv_len", "head_dim", "head_dim_v"]
        return precision | ({"compiled_for": sizes} if self.implementation == "flex_attention" and self.compiled else {})

    def config(self, case: dict):
        p, f = case["problem"], self.family
        settings = dict(
            vocab_size=8, pad_token_id=0, num_hidden_layers=1, intermediate_size=8, max_position_embeddings=1 << 14,
            hidden_size=p["num_heads"] * p["head_dim"], num_attention_heads=p["num_heads"],
            num_key_value_heads=p["num_kv_heads"], head_dim=p["head_dim"], attn_implementation=self.implementation)
        settings |= f.settings
        if f.window:
            window = rule(case, "window")
            settings["sliding_window"] = window["left"] + 1 if window else 4096 if f.layer_types else None
            settings["use_sliding_window"] = bool(window)
            if f.layer_types and find_spec("transformers.masking_utils"):
                settings["layer_types"] = ["sliding_attention" if window else "full_attention"]
        if f.chunk:
            settings["attention_chunk_size"] = rule(case, "chunk")["size"]
        if "softcap" in f.features:
            settings |= dict(attn_logit_softcapping=float(p["softcap"]) or None, query_pre_attn_scalar=p["head_dim"])
        return getattr(import_module(f"transformers.models.{f.module}"), f.config)(**settings)

    def model(self, case: dict, tensors: dict):
        """The package's model, in evaluation, with known projections in its one layer."""
        config = self.config(case)
        torch.manual_seed(0)
        model = getattr(import_module(f"transformers.models.{self.family.module}"), self.family.model)(config).eval()
        attention = model.layers[0].self_attn
        attention.q_proj, attention.k_proj, attention.v_proj = Known(), Known(), Known()
        if "sinks" in self.family.features:
            sinks = tensors.get("sinks", np.full(case["problem"]["num_heads"], -np.inf, np.float32))
            attention.sinks.data = torch.from_numpy(np.array(sinks))
        return model.to(self.device)

    def attended(self, model, **inputs) -> torch.Tensor:
        """The attention's output in one forward of the model."""
        seen = []
        hook = model.layers[0].self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach().clone()))
        try:
            model(**inputs)
        finally:
            hook.remove()
        return seen[0]

    def cache(self, case: dict, config):
        """A cache of the case's kind, made through whichever constructor this release has."""
        kind, batch = getattr(hf, self.caches[case["cache"]["kind"]]), case["problem"]["batch"]
        offered = dict(config=config, max_cache_len=max(case["cache"].get("capacity", 0), slots_needed(case)), max_batch_size=batch,
                       device=self.device, dtype=torch.float32)
        taken = inspect.signature(kind.__init__).parameters
        if "max_batch_size" not in taken:
            offered["batch_size"] = batch
        return kind(**{name: value for name, value in offered.items() if name in taken})

    @torch.inference_mode()
    def run(self, case: dict, tensors: dict) -> list[dict]:
        session = Session(self, case, tensors)
        if case.get("steps"):
            return [session.step(step, *(tensors.get(f"{name}.{i}") for name in "qkv")) for i, step in enumerate(case["steps"])]
        q_len, batch, padding = case["problem"]["q_len"], case["problem"]["batch"], rule(case, "padding")
        real = np.ones((batch, q_len), dtype=bool)
        if padding:
            lens, slots = np.array(padding["lens"])[:, None], np.arange(q_len)
            real = slots >= q_len - lens if padding["side"] == "left" else slots < lens
        return [{"out": session.attend(*(tensors[name] for name in "qkv"), real)}]


class Passing(torch.nn.Module):
    """In the place of o_proj: keeps what it is given. Compiled code knows no hook that comes and goes."""

    taken: torch.Tensor

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.taken = rows
        return rows


class Compiled(Target):
    """A whole model under torch.compile, one for each of a few sizes, kept as a server keeps it. By Inductor on CUDA; on the CPU
    traced alone (aot_eager), which needs no C++ compiler."""

    def __init__(self, family: str, implementation: str, device: str = "cpu"):
        super().__init__(family, implementation, device=device)
        self.backend, word = ("inductor", "compiled") if device == "cuda" else ("aot_eager", "traced")
        self.kept: dict = {}
        self.name = f"transformers:{family}-{implementation}-{word}" + "-cuda" * (device == "cuda")
        self.about = f"{self.about}, the model {word}"
        unused = ("cache:", "step:", "ragged")
        self.capabilities |= {
            "features": [f for f in self.capabilities["features"] if not f.startswith(unused)], "excludes": [],
            "sizes": {"batch": [2, 2], "num_heads": [4, 4], "num_kv_heads": [2, 4, 2], "q_len": [24, 48, 24], "kv_len": [24, 48, 24],
                      "head_dim": [16, 16], "head_dim_v": [16, 16]}}

    def load(self) -> None:
        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1 << 20

    def model(self, case: dict, tensors: dict):
        p = case["problem"]
        key = (p["num_kv_heads"], p["q_len"])
        if key not in self.kept:
            model = super().model(case, tensors)
            model.layers[0].self_attn.o_proj = Passing()
            model.compile(backend=self.backend, dynamic=False)
            self.kept[key] = model
        return self.kept[key]

    def attended(self, model, **inputs) -> torch.Tensor:
        model(**inputs)
        return model.layers[0].self_attn.o_proj.taken


class Quantised(Target):
    """A model with a QuantizedCache, which can't be cropped and is for what is generated."""

    def __init__(self, family: str, implementation: str, backend: str, more: list, sizes: dict):
        super().__init__(family, implementation)
        self.name, self.about = f"{self.name}-{backend}", f"{self.about}, QuantizedCache of {backend}"
        unused = ("cache:fixed", "step:crop", "rule:padding", "padding.side:left", "padding.side:right")
        self.capabilities |= {
            "features": [f for f in self.capabilities["features"] if f not in unused] + more, "excludes": [],
            "sizes": self.capabilities["sizes"] | {"steps": [1, 6]} | sizes,
            "requires": [["dtype:f32", "rule:causal"], ["dtype:f32", "cache:dynamic"], *(["dtype:f32", word] for word in more)]}


class Grouped(Quantised):
    """4-bit numbers in groups, of which tokens of ones and zeros are read as they were."""

    def __init__(self, family: str, implementation: str):
        super().__init__(family, implementation, "quanto", ["data:one_hot"], {"head_dim": [16, 64, 16]})

    def load(self) -> None:
        """Quanto compiles an extension for what is read back first."""
        layer, token = hf.cache_utils.QuantoQuantizedLayer(q_group_size=16), torch.zeros(1, 1, 1, 16)
        layer.update(token, token)
        layer.update(token, token)

    def cache(self, case: dict, config):
        return hf.QuantizedCache("quanto", config, nbits=4, q_group_size=16, residual_length=4)


class Floats(Quantised):
    """8-bit floats."""

    def __init__(self, family: str, implementation: str):
        super().__init__(family, implementation, "fp8", ["quant:e4m3", "scales:head"], {"num_kv_heads": [1, 1]})

    def cache(self, case: dict, config):
        return hf.QuantizedCache("fp8", config)

    @torch.inference_mode()
    def run(self, case: dict, tensors: dict) -> list[dict]:
        session, p, results = Session(self, case, tensors), case["problem"], []
        reach = (np.full(1, 448 * float(tensors[f"{name}_scales"][0]), np.float32) for name in "kv")
        front = [split_heads(case, np.repeat(x, p["batch"] * p["head_dim"]).reshape(p["batch"], 1, -1), 1) for x in reach]
        query = split_heads(case, np.zeros((p["batch"], 1, p["num_heads"] * p["head_dim"]), np.float32), p["num_heads"])
        for i, step in enumerate(case["steps"]):
            if step["op"] in ("prefill", "append", "decode") and not session.real.shape[1]:
                session.attend(query, *front, np.zeros((p["batch"], 1), bool))
            results.append(session.step(step, *(tensors.get(f"{name}.{i}") for name in "qkv")))
        return results


def targets() -> list:
    """Every family of this release with each attention implementation; flex compiled and not; the older cache classes."""
    found = []
    for name, family in FAMILIES.items():
        try:
            getattr(import_module(f"transformers.models.{family.module}"), family.model)
        except (ImportError, AttributeError):
            continue
        for implementation in family.implementations:
            if implementation == "flex_attention" and not find_spec("transformers.integrations.flex_attention"):
                continue
            found.append(Target(name, implementation))
            if implementation == "flex_attention":
                found.append(Target(name, implementation, compiled=False))
            elif VERSION < (4, 56) and hasattr(hf, BOUNDED.get(name, "none")):
                found.append(Target(name, implementation, fixed=BOUNDED[name]))
            found.append(Target(name, implementation, device="cuda"))
    if hasattr(torch.nn.Module, "compile") and hasattr(torch._dynamo.config, "recompile_limit"):  # since PyTorch 2.6
        found += [Compiled("llama", "sdpa", device) for device in ("cpu", "cuda")]
    if hasattr(hf.cache_utils, "Fp8QuantizedLayer"):
        found += [Floats("llama", implementation) for implementation in ("eager", "sdpa")]
        found += [Grouped("llama", "sdpa")] if find_spec("optimum") and find_spec("optimum.quanto") else []
    return found
