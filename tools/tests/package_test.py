"""The build of the Python package (pyproject.toml), as far as it can be tried without compiling: it is configured."""
import importlib.util
import shutil
import subprocess
import sys
import tomllib

import pytest
from program import ROOT


@pytest.mark.skipif(shutil.which("make") is None or importlib.util.find_spec("nanobind") is None,
                    reason="needs make and nanobind")
def test_pip_install_can_configure_the_build(tmp_path):
    defines = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["scikit-build"]["cmake"]["define"]
    words = [f"-D{name}={value}" for name, value in defines.items()]
    done = subprocess.run(["cmake", "-S", ROOT, "-B", tmp_path, "-G", "Unix Makefiles", "-DSKBUILD=2",
                           f"-DPython_EXECUTABLE={sys.executable}", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "The Python package is not built" not in done.stdout
    targets = subprocess.run(["make", "-C", tmp_path, "help"], capture_output=True, text=True, check=True).stdout
    assert {"... _core", "... attnfuzz", "... attnfuzz_oracles", "... attnfuzz_oracle_x86-64-v4"} <= set(targets.split("\n"))
