"""The folder of a recording: recording.json, and for each call its Case, its inputs and its outputs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any, Optional

from attnfuzz_record._arrays import Array, write_safetensors
from attnfuzz_record._config import of_model
from attnfuzz_record._where import Place

PACKAGES = ("torch", "transformers", "flash-attn", "xformers", "jax", "onnxruntime", "numpy")
PAUSE = 1.0
"""Seconds between two writings of recording.json, which is there from the first call on: programs are killed."""

MakeCase = Callable[[str, str], tuple[dict[str, Any], dict[str, Array]]]
"""(name of the tensors' file, about) → the Case and the tensors."""


@dataclass
class Entry:
    """A call in recording.json, less the names of its files. What is None or empty is left out."""

    function: str
    module: str = ""
    layer: Optional[int] = None
    step: Optional[int] = None
    where: str = ""
    error: str = ""
    precision: Optional[dict[str, Any]] = None
    options: Optional[dict[str, Any]] = None


class Folder:
    """A recording that is being written. Safe to use from several threads.

    shared: other processes record too. The first with something to write has the folder, others one beside it.
    """

    def __init__(self, path: Path, about: str = "", shared: bool = False):
        self.path, self.about, self._shared, self._pause = path, about, shared, PAUSE
        self._start()

    def _start(self) -> None:
        self._ready = False
        self.calls: list[dict[str, Any]] = []
        self.count = self.bytes = 0
        self._not_kept: Counter[tuple[str, str, str]] = Counter()
        self._device, self._config = "", {}  # type: tuple[str, dict[str, Any]]
        self._lock, self._written = threading.Lock(), 0.0

    def forked(self) -> None:
        """In a forked process: a recording of its own, written call by call, for such a process may just end."""
        self.path = self.path.with_name(f"{self.path.name}.process-{os.getpid()}")
        self._shared, self._pause = False, 0.0
        self._start()

    def open(self) -> None:
        """Makes the folder, once."""
        if self._ready:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        if self._shared:
            try:
                (self.path / ".claimed").open("x").close()
            except FileExistsError:
                self.path = self.path.with_name(f"{self.path.name}.process-{os.getpid()}")
        (self.path / "calls").mkdir(parents=True, exist_ok=True)
        self._ready = True

    def not_kept(self, why: str, function: str = "", where: str = "") -> None:
        self._not_kept[why, function, where] += 1

    def config_of(self, at: Place) -> None:
        """The configuration of the first model that is seen, to be shown."""
        if at.root is not None and not self._config:
            self._config = of_model(at.root)
            first = next(at.root.parameters(), None)
            self._device = str(first.device) if first is not None else ""

    def add(self, entry: Entry, asked: MakeCase, outputs: dict[str, Array], by_config: Optional[MakeCase]) -> None:
        """Writes a call. Raises NotSaid (and writes nothing) for one that no Case can say."""
        with self._lock:
            self.open()
            number = f"{self.count:04d}"
            folder = self.path / "calls"
            place = f"{entry.module}, step {entry.step}" if entry.module else entry.where
            case, tensors = asked(f"{number}.safetensors", f"{entry.function}, {place}")
            told = {"case": f"calls/{number}.case.json"}
            size = write_safetensors(folder / f"{number}.safetensors", tensors)
            self._write(folder / f"{number}.case.json", case)
            if not entry.error:
                told["outputs"] = f"calls/{number}.outputs.safetensors"
                dense = {name: array.swapped() if name == "out" and case["problem"]["layout"] == "bshd" else array
                         for name, array in outputs.items()}
                size += write_safetensors(folder / f"{number}.outputs.safetensors", dense)
            if by_config is not None:
                told["by_config"] = f"calls/{number}.config.case.json"
                case, tensors = by_config(f"{number}.config.safetensors", f"{place}, by the model's configuration")
                size += write_safetensors(folder / f"{number}.config.safetensors", tensors)
                self._write(folder / f"{number}.config.case.json", case)
            more = {key: value for key, value in asdict(entry).items() if value not in (None, "", {})}
            self.calls.append(told | more)
            self.count += 1
            self.bytes += size
            if time.monotonic() > self._written + self._pause:
                self._write_list()

    def close(self) -> None:
        with self._lock:
            self.open()
            self._write_list()

    def _write_list(self) -> None:
        packages = {"python": python_version()}
        for name in PACKAGES:
            try:
                packages[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                pass
        whole = {"attnfuzz_recording": 1, "about": self.about, "packages": packages, "device": self._device,
                 "config": self._config, "calls": self.calls,
                 "not_kept": [{key: value for key, value in (("why", why), ("count", count), ("function", function),
                                                             ("where", where)) if value}
                              for (why, function, where), count in self._not_kept.items()]}
        whole = {key: value for key, value in whole.items() if value or key == "calls"}
        self._write(self.path / "recording.json", whole)
        self._written = time.monotonic()

    @staticmethod
    def _write(path: Path, value: dict[str, Any]) -> None:
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(json.dumps(value, indent=1) + "\n")
        unfinished.replace(path)
