"""What is here: the device, its driver, CUDA, and the packages under test. Reads only; changes nothing of the device."""
from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import subprocess
import threading
import time

PACKAGES = ("torch", "triton", "jax", "jaxlib", "transformers", "flash-linear-attention", "numpy", "flashinfer-python", "flash-attn")


def version_words(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def nvidia_smi(*arguments: str) -> str:
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=20)
        return done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def device() -> dict:
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
    name = ctypes.create_string_buffer(128)
    driver.cuDeviceGetName(name, len(name), handle)
    attributes = {}
    for word, number in (("major", 75), ("minor", 76), ("multiprocessors", 16)):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), number, handle)
        attributes[word] = value.value
    smi = nvidia_smi("--query-gpu=driver_version,memory.total", "--format=csv,noheader").split("\n")[0].split(", ")
    return {"name": name.value.decode(), "capability": f"{attributes['major']}.{attributes['minor']}",
            "multiprocessors": attributes["multiprocessors"], "cuda": version_words(version.value),
            "driver": smi[0] or "unknown", "memory": smi[1] if len(smi) > 1 else "unknown", "devices": count.value}


def packages() -> dict:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def survey() -> dict:
    return {"device": device(), "packages": packages(), "python": platform.python_version(), "cpus": os.cpu_count(),
            "kernel": platform.release(), "compute_sanitizer": shutil.which("compute-sanitizer") or ""}


def words(found: dict) -> str:
    """One line for a person."""
    d = found["device"]
    here = d.get("missing") or (f"{d['name']}, compute capability {d['capability']}, driver {d['driver']}, CUDA {d['cuda']}, "
                                f"{d['memory']}")
    return f"{here}; {found['cpus']} CPUs; Python {found['python']}; " + ", ".join(f"{k} {v}" for k, v in found["packages"].items())


class Load:
    """How much of the time some kernel ran, by nvidia-smi, sampled twice a second."""

    def __init__(self):
        self.samples: list[tuple[float, float]] = []
        self.process = None
        try:
            self.process = subprocess.Popen(
                ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "500"],
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
            self.process.wait()
