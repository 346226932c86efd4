"""The peer of attnfuzz on the bug zoo: Hypothesis, and assert_close's usual tolerances.

The strategies draw from the same space of cases (sizes, mask rules, options, cache steps), with normal
data, as one writes them; the exact answer is given to them by the library. Prints a JSON line for each
mutant: after how many cases it failed (null: not within CASES), and the weight of what Hypothesis
shrank it to.
Usage: zoo_hypothesis.py zoo_peer.so TARGETS_JSON CASES [NAME…]
"""
import ctypes
import json
import sys

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

library = ctypes.CDLL(sys.argv[1])
library.zoo_name.restype = library.zoo_kernel.restype = ctypes.c_char_p
library.zoo_weight.restype = ctypes.c_uint64
with open(sys.argv[2]) as file:
    CLAIMS = {target["name"]: target["capabilities"] for target in json.load(file)
              if target["available"]}
CASES = int(sys.argv[3])
WANTED = sys.argv[4:]


def words(claims, prefix):
    return [f.split(":", 1)[1] for f in claims["features"] if f.startswith(prefix + ":")]


def rule(name, claims, batch, kv_len):
    """A strategy for one mask rule as the case file writes it."""
    lens = st.lists(st.integers(0, kv_len), min_size=batch, max_size=batch)
    shapes = st.sampled_from(["qk", "bqk", "hqk", "bhqk"])
    parameters = {
        "causal": {}, "alibi": {},
        "window": {"left": st.integers(0, 40), "right": st.integers(0, 40)},
        "chunk": {"size": st.integers(1, 40), "origin": st.sampled_from(["slot", "token"])},
        "prefix": {"lens": lens},
        "padding": {"side": st.sampled_from(["left", "right"]), "lens": lens},
        "documents": {"lens": st.integers(1, max(1, kv_len)).map(
            lambda first: [n for n in (min(first, kv_len), kv_len - first) if n > 0])},
        "boolean": {"shape": shapes, "keep": st.integers(0, 100)},
        "bias": {"shape": shapes},
    }[name]
    return st.fixed_dictionaries({"rule": st.just(name), **parameters})


def steps(draw, claims, batch, capacity):
    """New tokens, and now and then another operation of a cache."""
    ops = [op for op in words(claims, "step") if op != "prefill"]
    made, total = [], 0
    for n in range(draw(st.integers(1, 5))):
        op = draw(st.sampled_from(ops)) if n else "prefill"
        step = {"op": op}
        if op in ("prefill", "append", "decode"):
            step["q_len"] = 1 if op == "decode" else draw(st.integers(1, 20))
            if op != "decode" and draw(st.booleans()):
                step["lens"] = draw(st.lists(st.integers(0, step["q_len"]), min_size=batch,
                                             max_size=batch))
                if draw(st.booleans()):
                    step["side"] = "left"
            total += step["q_len"]
        elif op == "reorder":
            step["rows"] = draw(st.lists(st.integers(0, batch - 1), min_size=batch, max_size=batch))
        elif op == "crop":
            step["length"] = draw(st.integers(0, max(0, total)))
        elif op == "fork":
            step |= {"from": draw(st.integers(0, batch - 1)), "to": draw(st.integers(0, batch - 1))}
        elif op == "evict":
            step |= {"start": draw(st.integers(0, 8)), "count": draw(st.integers(1, 8))}
        made.append(step)
    return made


def outputs(draw, claims, problem):
    """What is asked for beside out, and dropout."""
    biased = any(rule["rule"] in ("bias", "alibi") for rule in problem["mask"]["rules"])
    possible = {"lse": True, "dq": True, "dk": True, "dv": True, "dbias": biased, "dsinks": problem["sinks"],
                "dmem_k": problem["memory_kv"] > 0, "dmem_v": problem["memory_kv"] > 0}
    more = [name for name, can in possible.items() if can and name in claims["features"] and draw(st.booleans())]
    return {"outputs": ["out", *more], "dropout_keep": draw(st.sampled_from([100, 100, 80, 50]))}


@st.composite
def cases(draw, claims, gives_more):
    cached = "steps" in claims["sizes"]
    features = set(claims["features"])
    batch, kv_heads = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    heads = kv_heads * draw(st.integers(1, 4))
    dim = draw(st.integers(1, 32))
    q_len = draw(st.integers(1, min(40, claims["sizes"]["q_len"][1])))
    kv_len = draw(st.integers(1, 80)) if draw(st.booleans()) else q_len
    names = draw(st.lists(st.sampled_from(words(claims, "rule")), max_size=3, unique=True))
    rules = [draw(rule(name, claims, batch, 40 if cached else kv_len)) for name in names]
    biased = any(name in ("bias", "alibi") for name in names)
    softcap = draw(st.sampled_from([0, 1, 5, 30])) if "softcap" in features else 0
    problem = {"batch": batch, "num_heads": heads, "num_kv_heads": kv_heads}
    if not cached:
        problem |= {"q_len": q_len, "kv_len": kv_len}
    problem |= {
        "head_dim": dim, "head_dim_v": draw(st.integers(1, 32)) if draw(st.booleans()) else dim,
        "dtype": draw(st.sampled_from(words(claims, "dtype"))),
        "layout": draw(st.sampled_from(words(claims, "layout"))),
        "scale": draw(st.none() | st.floats(0.1, 2)), "softcap": softcap,
        "sinks": draw(st.booleans()), "memory_kv": draw(st.integers(0, 4)),
        "head_map": draw(st.sampled_from(["grouped", "interleaved"])) if 1 < kv_heads < heads
        else "grouped",
        "bias_order": draw(st.sampled_from(["after_softcap", "before_softcap"]))
        if softcap and biased else "after_softcap",
        "fully_masked": draw(st.sampled_from(words(claims, "fully_masked") or ["zero"])),
        "mask": {"align": "top_left" if cached
                 else draw(st.sampled_from(["top_left", "bottom_right"])), "rules": rules}}
    if gives_more:
        problem |= outputs(draw, claims, problem)
    case = {"attnfuzz": 1, "problem": problem,
            "data": {"seed": draw(st.integers(0, 2**32 - 1)), "dist": "normal", "nonfinite": "none"}}
    if cached:
        kind = draw(st.sampled_from(words(claims, "cache")))
        case["cache"] = {"kind": kind}
        if kind != "dynamic":
            case["cache"]["capacity"] = draw(st.integers(1, 100))
        if kind == "paged":
            case["cache"]["page_size"] = draw(st.integers(1, 16))
        case["steps"] = steps(draw, claims, batch, case["cache"].get("capacity"))
    return case


def hunt(number):
    """Runs Hypothesis on one mutant."""
    claims = CLAIMS[library.zoo_kernel(number).decode()]
    tried, failed, last = 0, None, None

    @settings(max_examples=CASES, deadline=None, database=None, derandomize=True,
              print_blob=False, suppress_health_check=list(HealthCheck))
    @given(case=cases(claims, bool(library.zoo_gives_more(number))))
    def test(case):
        nonlocal tried, failed, last
        text = json.dumps(case)
        close = library.zoo_is_close(number, text.encode())
        assume(close >= 0)
        tried += 1
        if close == 0:
            failed, last = failed or tried, text
        assert close == 1

    try:
        test()
    except AssertionError:
        pass
    weight = library.zoo_weight(last.encode()) if last else None
    print(json.dumps({"name": library.zoo_name(number).decode(), "found": failed, "weight": weight}),
          flush=True)


for index in range(library.zoo_count()):
    if not WANTED or library.zoo_name(index).decode() in WANTED:
        hunt(index)
