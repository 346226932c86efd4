"""The public error texts are well formed, and triage_table.py judges readings of them as it says."""
import json
import re
from pathlib import Path

import pytest
import triage_table
from triage_table import DATA, HELD_OUT, Record, aligned, canonical, verdict

PUBLIC = ("public_texts.json", HELD_OUT)
KEYS = {"source", "framework", "about", "text", "axes", "numbers", "basis", "shapes", "layout"}
NEEDED = KEYS - {"shapes", "layout"}
FRAMEWORKS = {
    "AITER", "Ascend", "Burn", "candle", "Core ML", "DeepSpeed", "diffusers", "DirectML", "exllama", "flash-attn",
    "FlashInfer", "flex/compile", "GGML", "JAX", "llama.cpp", "Megatron/TE", "MindSpore", "MLX", "NKI", "NumPy",
    "ONNX Runtime", "OpenVINO", "PaddlePaddle", "PyTorch", "SGLang", "TensorFlow/Keras", "TensorRT", "TensorRT-LLM",
    "tinygrad", "Transformers", "Triton", "TVM", "vLLM", "xformers", "other",
}
WORDS = {
    "-", "batch", "q_len", "kv_len", "past_len", "num_heads", "num_kv_heads", "group", "head_dim", "head_dim_v",
    "packed_head_dim", "rope_dim", "rotary_pairs", "hidden", "q_hidden", "kv_hidden", "qkv_hidden", "tokens",
    "q_tokens", "kv_tokens", "capacity", "window", "chunk", "max_positions", "memory_kv", "num_pages", "pages",
    "num_blocks", "page_size", "max_pages", "slots", "kv_lora_rank", "latent_dim", "state_dim",
}


def records(name: str) -> list[Record]:
    if name == HELD_OUT and not (DATA / name).exists():  # once they were read they are public_texts.json's
        return []
    found: list[Record] = json.loads((DATA / name).read_text())
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_each_record_has_the_keys_and_known_words(name: str) -> None:
    for record in records(name):
        where = record["source"]
        assert NEEDED <= record.keys() <= KEYS, where
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", where), where
        assert record["framework"] in FRAMEWORKS, where
        assert record["about"] and record["text"] and record["basis"], where
        assert record.get("layout", "bhsd") in ("bhsd", "bshd", "bsd", "nsd"), where
        for _, names in record["numbers"]:
            assert all(word in WORDS or word.isdigit() for word in re.split(r"[|*+/]", names)), (where, names)
        assert any(names != "-" for _, names in record["numbers"]), where


@pytest.mark.parametrize("name", PUBLIC)
def test_each_number_is_in_the_text_in_its_order(name: str) -> None:
    for record in records(name):
        at = 0
        for value, _ in record["numbers"]:
            found = re.compile(rf"(?<![A-Za-wyz_\d]){value}(?!\d)").search(record["text"], at)
            assert found, (record["source"], value)
            at = found.end()


@pytest.mark.parametrize("name", PUBLIC)
def test_axes_say_what_numbers_say(name: str) -> None:
    for record in records(name):
        words = [word for axes in record["axes"].values() for word in axes.split(",")]
        assert words == [names for _, names in record["numbers"]], record["source"]


@pytest.mark.parametrize("name", PUBLIC)
def test_texts_name_no_person_and_no_folder_of_one(name: str) -> None:
    for record in records(name):
        private = re.search(r"/home/|/Users/|/root/|[A-Z]:\\|@\w+\.[a-z]+", record["text"]) is not None
        assert not private, record["source"]


def test_the_texts_that_are_kept_back_are_of_other_reports() -> None:
    seen = {record["source"] for name in ("public_texts.json", "texts.json") for record in records(name)}
    assert not [record["source"] for record in records(HELD_OUT) if record["source"] in seen]


def test_there_are_texts_of_many_frameworks() -> None:
    work, kept = (records(name) for name in PUBLIC)
    assert len(work) >= 100 and len(work) + len(kept) >= 200
    assert len({record["framework"] for record in work + kept} - {"other"}) >= 15


def test_no_text_is_there_twice() -> None:
    texts = [record["text"] for path in triage_table.FILES for record in records(path.name)]
    assert len(texts) == len(set(texts))


def reading(*axes: tuple[int, str], sure: bool = True) -> Record:
    return {"sure": sure, "numbers": [{"capture": "a", "value": value, "axis": axis} for value, axis in axes]}


def test_verdicts() -> None:
    record = {"numbers": [[8, "q_len|kv_len"], [1, "-"], [2, "batch*num_heads"]]}
    assert verdict(record, reading((8, "kv_len"), (1, "batch"), (2, "num_heads*batch"))) == ("right", False)
    assert verdict(record, reading((8, "kv_len"), (2, "batch"))) == ("partly", True)
    assert verdict(record, reading((8, "kv_len"))) == ("partly", False)
    assert verdict(record, reading((8, "batch"), (2, "batch"))) == ("wrong", True)
    assert verdict(record, reading((8, "batch"), (2, "batch"), sure=False)) == ("wrong", False)
    assert verdict(record, reading((8, ""))) == ("not read", False)
    assert verdict(record, {"numbers": [], "sure": False}) == ("not read", False)


def test_numbers_are_matched_in_order() -> None:
    wanted = [(4, {"batch"}), (4, {"q_len"})]
    assert aligned(wanted, [(7, "hidden"), (4, "batch"), (4, "q_len")]) == ["batch", "q_len"]
    assert aligned(wanted, [(4, "q_len")]) == [None, "q_len"]
    assert aligned(wanted, []) == [None, None]


def test_names_of_the_same_axis() -> None:
    assert canonical("pages") == canonical("num_blocks") == canonical("num_pages")
    assert canonical("head_dim*num_heads") == canonical("num_heads*head_dim")
    assert canonical("rope_dim+kv_lora_rank") == canonical("kv_lora_rank+rope_dim")
