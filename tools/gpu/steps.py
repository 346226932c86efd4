"""The steps of the GPU run, in the order of their worth: what is worth most is done before time runs out.

A step has a share of the time that is left, and parts: each is one run of a program and one row of the table. Parts of a step
run one after another, or all at once where they are many and small.
"""
from __future__ import annotations

from dataclasses import dataclass, field

SEED = 1
SHORTEST = 5.0  # seconds that a case may take, at least; a case at hand when time is up has `grace` besides
STARTING = 0.25  # the part of a campaign's time that is for imports and the last case
COMPILING = 60.0  # seconds for a case of a target that compiles


@dataclass(frozen=True)
class Part:
    """One run of attnfuzz, or of a program (`argv`), on the device.

    `target` needs a GPU; where there is none its `stand_in`, a target of the CPU, is run, so that a rehearsal goes the same
    way. `flags` are attnfuzz's; {jobs} and {cases} in them, and {bin}, {here} and {python} in argv, are filled in.
    """

    name: str
    target: str = ""
    stand_in: str = ""
    flags: tuple = ()
    argv: tuple = ()
    timed: bool = True  # attnfuzz is told to stop after its share of the time
    wrong: bool = False  # its target is, on purpose
    compiles: bool = False  # its target does, in its first cases, which take long
    note: str = ""  # what tells it from another part of its target, in the table

    @property
    def of_a_package(self) -> bool:
        """Whether it is a campaign of a Python package, whose import takes its time."""
        return bool(self.target) and not self.target.startswith("cuda:")

    def patience(self, seconds: float) -> float:
        """What one case may take of its part's time; one that hangs is a finding, and leaves time for others. A package makes
        ready on its first one, and one that compiles has a minute, where the time allows."""
        minute = min(COMPILING, (1 - STARTING) * seconds) if self.compiles else 0.0
        return max(SHORTEST, seconds * (0.5 if self.of_a_package else 0.3), minute)


@dataclass(frozen=True)
class Step:
    name: str
    about: str
    share: float
    parts: list[Part] = field(default_factory=list)
    together: bool = False
    needs: str = ""  # a program on PATH


CAMPAIGN = ("--no-corpus", "--jobs", "{jobs}", "--max-shrink-tries", "300")
ALONE = ("--no-corpus", "--jobs", "1", "--max-shrink-tries", "300")
OURS = ("flash", "flash-graph", "paged-decode", "oracle")
MUTANTS = ("head-stride-ignored", "merge-by-index", "page-of-first-row", "tail-not-masked", "tile-not-awaited",
           "tile-overwritten", "value-stride", "tail-not-guarded")
"""Of the kernels; what ends the process on each failure (a wild access) comes last. Those that count offsets in 32 bits are
left out: on a device tensors lie as they came, and no case is large enough to show them."""


def campaign(name: str, target: str, stand_in: str = "", compiles: bool = False) -> Part:
    return Part(name, target, stand_in, CAMPAIGN, compiles=compiles)


def up_to(size: int, target: str) -> Part:
    """A campaign of short cases, for its cases/s."""
    flags = (*CAMPAIGN, "--limit", f"q_len={size}", "--limit", f"kv_len={size}")
    return Part(f"{target}-{size}", f"cuda:{target}", flags=flags, note=f"up to {size}")


def on_cases(target: str) -> Part:
    """All of the device cases (cases.py) that the target claims, and no others."""
    return Part(f"cases-{target}", f"cuda:{target}",
                flags=("--corpus", "{cases}", "--cases", "0", "--max-shrink-tries", "100"), timed=False)


def on_corpus(target: str) -> Part:
    """All cases of the corpus that the target claims: what was once found, with anyone's code."""
    return Part(f"corpus-{target}", f"cuda:{target}",
                flags=("--corpus", "{corpus}", "--cases", "0", "--max-shrink-tries", "100"), timed=False)


def mutant(name: str) -> Part:
    flags = (*ALONE, "--stop-after", "1", "--limit", "q_len=80", "--limit", "kv_len=80")
    return Part(f"mutant-{name}", f"cuda:cuda-{name}", flags=flags, wrong=True)


def sanitized(tool: str, target: str) -> Part:
    flags = ("--no-corpus", "--cases", "40", "--max-shrink-tries", "0", "--sanitize", tool)
    return Part(f"{tool}-{target}", f"cuda:{target}", flags=flags, timed=False)


STEPS = [
    Step("philox", "the inputs' bits, made on the device and on the host", 1, [Part("philox", argv=("{bin}/gpu_philox_check",))]),
    Step("cases", "our kernels on cases of many tiles, in each type and head size, and on the corpus", 6,
         [*(on_cases(name) for name in OURS), *(on_corpus(name) for name in OURS)], together=True),
    Step("ours", "our kernels on generated cases", 8,
         [*(campaign(name, f"cuda:{name}") for name in OURS), up_to(512, "flash")]),
    Step("sdpa", "PyTorch's scaled_dot_product_attention, forward and backward", 10, [
        campaign("sdpa-flash", "torch:sdpa-flash-cuda", "torch:sdpa-flash"),
        campaign("sdpa-efficient", "torch:sdpa-efficient-cuda", "torch:sdpa-math"),
        campaign("sdpa-cudnn", "torch:sdpa-cudnn-cuda", "torch:sdpa-flash"),
        campaign("sdpa-math", "torch:sdpa-math-cuda", "torch:sdpa-math")]),
    Step("mutants", "kernels of ours with one line wrong: are they found?", 4, [mutant(name) for name in MUTANTS], together=True),
    Step("flex", "PyTorch's flex_attention, compiled", 5, [
        campaign("flex-kept", "torch-flex:compiled-kept-cuda", "torch-flex:eager", compiles=True),
        campaign("flex", "torch-flex:compiled-cuda", "torch-flex:untraced", compiles=True)]),
    Step("triton", "attention in Triton", 4, [
        campaign("triton", "triton-attention:fla-parallel-cuda", "triton-attention:fla-parallel", compiles=True)]),
    Step("jax", "JAX's dot_product_attention by cuDNN", 4, [
        campaign("jax-cudnn", "jax:dot-product-attention-cudnn-cuda", "jax:dot-product-attention", compiles=True)]),
    Step("transformers", "Transformers' models on CUDA", 6, [
        campaign("transformers-sdpa", "transformers:llama-sdpa-cuda", "transformers:llama-sdpa"),
        campaign("transformers-window", "transformers:mistral-sdpa-cuda", "transformers:mistral-sdpa"),
        campaign("transformers-flex", "transformers:llama-flex-cuda", "transformers:llama-flex-uncompiled", compiles=True),
        campaign("transformers-compiled", "transformers:llama-sdpa-compiled-cuda", "transformers:llama-sdpa-traced", compiles=True)]),
    Step("fla", "flash-linear-attention's Triton kernels", 5, [
        campaign("fla-recurrent", "fla-ops:fused-recurrent-cuda", "fla-ops:naive-recurrent", compiles=True),
        campaign("fla-chunk", "fla-ops:chunk-cuda", "fla-ops:naive-chunked", compiles=True)]),
    Step("sanitizer", "compute-sanitizer on a few cases", 4, [
        sanitized(tool, target) for tool in ("memcheck", "racecheck", "initcheck") for target in ("flash", "paged-decode")],
        together=True, needs="compute-sanitizer"),
    Step("gflops", "the oracle on the device beside PyTorch's float64 math", 3, [
        Part("gflops-oracle", argv=("{bin}/gpu_oracle_gflops", "1024", "2048", "4096")),
        Part("gflops-torch", argv=("{python}", "{here}/torch_math_gflops.py", "1024", "2048", "4096"))]),
]
