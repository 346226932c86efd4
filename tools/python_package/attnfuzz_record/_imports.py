"""Functions are replaced when their module is imported, or at once where it is imported already; and put back at the
end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

Install = Callable[[ModuleType], None]


class Replaced:
    """What was replaced, to be put back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        inherited = name not in vars(owner)
        before = vars(owner).get(name)
        setattr(owner, name, value)
        self._undo.append(lambda: delattr(owner, name) if inherited else setattr(owner, name, before))

    def item(self, mapping: Any, key: Any, value: Any) -> None:
        before = mapping[key]
        mapping[key] = value
        self._undo.append(lambda: mapping.__setitem__(key, before))

    def everywhere(self, original: Any, value: Any) -> None:
        """In all imported modules, whatever name they gave it (`from torch.nn.functional import … as sdpa`)."""
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if isinstance(names, dict):
                for name in [name for name, each in list(names.items()) if each is original]:
                    self.item(names, name, value)

    def back(self) -> None:
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()


class Watch(MetaPathFinder):
    """Calls `install(module)` after a module whose name matches has been imported."""

    def __init__(self) -> None:
        self._wanted: list[tuple[str, Install]] = []

    def add(self, pattern: str, install: Install) -> None:
        self._wanted.append((pattern, install))
        for name, module in list(sys.modules.items()):
            if fnmatchcase(name, pattern) and isinstance(module, ModuleType):
                install(module)

    def start(self) -> None:
        sys.meta_path.insert(0, self)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        installs = [install for pattern, install in self._wanted if fnmatchcase(fullname, pattern)]
        if not installs:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._after(spec.loader, installs)
                return spec
        return None

    @staticmethod
    def _after(loader: Any, installs: list[Install]) -> None:
        """The loader stays what it is (programs ask it for sources); its own exec_module is followed by ours."""
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for install in installs:
                install(module)

        loader.exec_module = exec_module
