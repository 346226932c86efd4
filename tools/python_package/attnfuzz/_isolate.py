"""A function in a worker process of its own, found there by its import path: a crash or a hang becomes a finding.

The worker is targets/python/worker.py, which asks served() for the target "python:MODULE:FUNCTION". What it has to know
beside the name comes in the variable ATTNFUZZ_FUNCTION.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import operator
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from attnfuzz import _command, _forms, _names
from attnfuzz._core import InputError
from attnfuzz._function import Declined, FunctionAdapter, How, adapter_of
from attnfuzz._names import Place
from attnfuzz._types import Array

VARIABLE = "ATTNFUZZ_FUNCTION"
MAIN = "__mp_main__"
"""The name that a script runs under in the worker, as multiprocessing has it: not "__main__"."""


class Reached(BaseException):
    """In a worker, check() is reached while the function's script is run: what it needs is defined by now."""


def in_worker() -> bool:
    return VARIABLE in os.environ


def place_of(fn: Callable[..., Any]) -> Place | str:
    """Where a worker finds the function, or why it can't."""
    if (known := _names.remembered(fn)) is not None:
        return known
    module_name, path = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    module = sys.modules.get(module_name or "")
    if module is None or path is None:
        return f"{type(fn).__name__} objects have no name to import them by"
    if "<" in path:
        return "a lambda, or a function that is defined inside another, has no name to import it by"
    try:
        if operator.attrgetter(path)(module) is not fn:
            return f"{module_name}.{path} is another object"
    except AttributeError:
        return f"{module_name} has no {path}"
    if module_name != "__main__":
        return Place(module_name or "", path, "")
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        return "it was typed in, and no file has it"
    return Place(MAIN, path, str(Path(file).resolve()))


def command(adapter: FunctionAdapter, place: Place) -> tuple[list[str], dict[str, str]]:
    """The worker's command line, and its variables."""
    script = str(Path(_command.home()) / "targets" / "python" / "worker.py")
    return [sys.executable, script, adapter.name], variables(
        place, adapter.how, name=adapter.name, capabilities=adapter.capabilities_text, align=sorted(adapter.aligns),
        form=_forms.said(adapter.claims))


def variables(place: Place, how: How, **more: Any) -> dict[str, str]:
    """The variables of a process that is to run the function: where it is, how it is called, and more."""
    arrays = how.arrays
    named = replace(how, arrays=arrays if arrays is None or isinstance(arrays, str) else arrays.__name__)
    spec = {"place": asdict(place), "how": asdict(named) | {"keywords": list(how.keywords)},
            "path": sys.path, "argv": sys.argv, **more}
    package = str(Path(__file__).resolve().parent.parent)
    if Path(__file__).is_symlink():  # in the build tree
        package = str(Path(__file__).parent.parent)
    python_path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    return {VARIABLE: json.dumps(spec), "PYTHONPATH": python_path, "PYTHONDONTWRITEBYTECODE": "1"}


def load(place: Place) -> Callable[..., Any]:
    """The function, imported in this process."""
    module = _script(place.file) if place.file else importlib.import_module(place.module)
    found = _names.resolve(module, place.path)
    _names.remember(found, place)
    return found  # type: ignore[no-any-return]


def _script(file: str) -> ModuleType:
    """A script's module, run under another name than "__main__" up to where it calls check()."""
    spec = importlib.util.spec_from_file_location(MAIN, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN] = sys.modules["__main__"] = module
    try:
        spec.loader.exec_module(module)
    except Reached:
        pass
    return module


@dataclass
class Served:
    """A function as the worker serves it."""

    adapter: FunctionAdapter
    name: str

    @property
    def version(self) -> str:
        return self.adapter.version

    @property
    def about(self) -> str:
        return self.adapter.about

    @property
    def capabilities(self) -> dict[str, Any]:
        return self.adapter.capabilities

    @property
    def spent(self) -> bool:
        return self.adapter.spent

    def run(self, case: dict[str, Any], tensors: dict[str, Array]) -> Iterator[dict[str, Any]]:
        from attnfuzz_worker import Declined as WorkersDeclined  # type: ignore[import-not-found]

        try:
            yield from self.adapter.run(case, tensors)
        except Declined as e:
            raise WorkersDeclined(str(e)) from None


def served(name: str) -> tuple[Served | None, str]:
    """For the worker: the target "python:MODULE:FUNCTION", or why there is none."""
    spec = json.loads(os.environ.get(VARIABLE) or "{}")
    try:
        if not spec:
            return _by_name(name), ""
        sys.path.extend(each for each in spec["path"] if each not in sys.path)
        sys.argv = spec["argv"]
        fn = load(Place(**spec["place"]))
        claims: Any = {"capabilities": json.loads(spec["capabilities"]), **spec["form"]}
        adapter = adapter_of(fn, How(**spec["how"]), claims)
        adapter.name, adapter.aligns = name, frozenset(spec["align"])
        adapter.settle()
        return Served(adapter, name), ""
    except InputError as e:
        return None, str(e)
    except Exception as e:
        return None, f"its module can't be imported in a worker: {type(e).__name__}: {e}"


def _by_name(name: str) -> Served:
    """For `attnfuzz run -t python:MODULE:FUNCTION`: the name, and the variable ATTNFUZZ_CLAIMS, say all."""
    from attnfuzz._check import load as load_name

    claims: dict[str, Any] = {}
    if file := os.environ.get("ATTNFUZZ_CLAIMS"):
        claims = {"capabilities": file}
    adapter = adapter_of(load_name(name.partition("@")[0].partition(":")[2]), How(), claims)  # type: ignore[arg-type]
    adapter.settle()
    return Served(adapter, name)
