"""ONNX's published vectors as recordings, judged by NumPy: what tools/vectors.sh asks of attnfuzz."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")

TOOLS = Path(__file__).parents[1]
sys.path.insert(0, str(TOOLS / "python_package" / "tests"))
import recordings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    done = subprocess.run([sys.executable, "-B", TOOLS / "vectors.py", "make", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_each_vector_is_right_and_none_with_an_error(made):
    folder, _ = made
    published, planted = (recordings.calls(folder / name) for name in ("published", "planted"))
    assert len(published) == len(planted) > 90
    assert [call.entry["module"] for call in published if not call.right] == []
    assert [call.entry["module"] for call in planted if call.right and call.problem["dtype"] == "f32"] == []
    assert {call.entry["options"]["planted"] for call in planted} == {
        "the last key is dropped", "the scale is twice as large", "one element is off"}


def test_what_is_not_said_is_named(made):
    _, printed = made
    first, *names = printed.splitlines()
    assert first.endswith(" vectors are said as Cases; not said:")
    said, _, all_of_them = first.split()[:3]
    assert int(all_of_them) - int(said) == len(names) and all(": " in name for name in names)
    assert {name.partition(":")[0].split("_")[1] for name in names} == {"flexattention", "rotary", "tensorscatter"}
