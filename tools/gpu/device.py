"""What is here: the device, its driver, CUDA, and the packages under test. Nothing of the device is changed.

As a program: the device, as JSON.
"""
from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

PACKAGES = ("torch", "triton", "jax", "jaxlib", "transformers", "flash-linear-attention", "numpy", "flashinfer-python",
            "flash-attn")

PATIENCE = 20.0  # seconds for a driver's answer


def version_words(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def ask(argv: list[str], seconds: float) -> tuple[int | None, str]:
    """A program's exit code and output; None where it gives no answer in time. A driver may never answer."""
    try:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                   text=True)
    except OSError as error:
        return 127, str(error)
    try:
        said, _ = process.communicate(timeout=seconds)
        return process.returncode, said.strip()
    except subprocess.TimeoutExpired:
        process.kill()  # and no wait for it
        return None, ""


def device() -> dict:
    """by_driver(), asked in a process of its own."""
    code, said = ask([sys.executable, "-B", __file__], PATIENCE)
    if code == 0:
        return json.loads(said)
    return {"missing": f"no GPU here: the driver gives no answer in {PATIENCE:.0f} s" if code is None
            else f"no GPU here: asking the driver ends with {code}"}


def by_driver() -> dict:
    """The first device by the driver's own interface; {"missing": why} without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {"missing": "no GPU here: no driver"}
    if error := driver.cuInit(0):
        return {"missing": f"no GPU here: cuInit gives {error}"}
    count, version, handle = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if not count.value:
        return {"missing": "no GPU here: the driver has no device"}
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGet(ctypes.byref(handle), 0)
    name, bus = ctypes.create_string_buffer(128), ctypes.create_string_buffer(32)
    driver.cuDeviceGetPCIBusId(bus, len(bus), handle)
    driver.cuDeviceGetName(name, len(name), handle)
    attributes = {}
    for word, number in (("major", 75), ("minor", 76), ("multiprocessors", 16)):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), number, handle)
        attributes[word] = value.value
    where = bus.value.decode() or "0"  # nvidia-smi counts devices in another order, and sees those that are hidden from us
    code, said = ask(["nvidia-smi", "-i", where, "--query-gpu=driver_version,memory.total", "--format=csv,noheader"],
                     PATIENCE / 2)
    smi = said.split("\n")[0].split(", ") if code == 0 else [""]
    return {"name": name.value.decode(), "capability": f"{attributes['major']}.{attributes['minor']}",
            "multiprocessors": attributes["multiprocessors"], "cuda": version_words(version.value),
            "bus": where, "driver": smi[0] or "unknown", "memory": smi[1] if len(smi) > 1 else "unknown",
            "devices": count.value}


def packages(site: Path) -> dict:
    """Their versions, by name; `site` comes before this interpreter's own."""
    path = [str(site), *sys.path]
    found = {name: next(iter(importlib.metadata.distributions(name=name, path=path)), None) for name in PACKAGES}
    return {name: each.version for name, each in found.items() if each is not None}


def survey(site: Path) -> dict:
    return {"device": device(), "packages": packages(site), "python": platform.python_version(), "cpus": os.cpu_count(),
            "kernel": platform.release(), "compute_sanitizer": shutil.which("compute-sanitizer") or ""}


def words(found: dict) -> str:
    """One line for a person."""
    d = found["device"]
    here = d.get("missing") or (f"{d['name']}, compute capability {d['capability']}, driver {d['driver']}, "
                                f"CUDA {d['cuda']}, {d['memory']}")
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return f"{here}; {found['cpus']} CPUs; Python {found['python']}; {packages or 'no packages'}"


class Load:
    """How much of the time some kernel ran on the device, by nvidia-smi, sampled twice a second."""

    def __init__(self, device: dict):
        self.samples: list[tuple[float, float]] = []
        self.process = None
        try:
            self.process = subprocess.Popen(
                ["nvidia-smi", "-i", device["bus"], "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits",
                 "-lms", "500"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            return
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in self.process.stdout:
            if line.strip().isdigit():
                self.samples.append((time.monotonic(), float(line)))

    def between(self, start: float, end: float) -> float | None:
        """The mean in percent; None without a sample."""
        seen = [value for at, value in self.samples if start <= at <= end]
        return sum(seen) / len(seen) if seen else None

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()


if __name__ == "__main__":
    print(json.dumps(by_driver()))
