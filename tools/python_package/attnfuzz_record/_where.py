"""Where a call comes from: the caller's line, the module that makes it, and that module's path in its model.

All of it is read from the Python stack, so a program needs no change, and a call that is not kept costs nothing for it.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Optional

OURS = str(Path(__file__).parent)
_paths: weakref.WeakKeyDictionary[Any, dict[int, str]] = weakref.WeakKeyDictionary()


@dataclass
class Place:
    """frames: the stack, the caller first."""

    frames: list[FrameType]
    module: Any = None  # a torch.nn.Module, or None
    root: Any = None
    path: str = ""
    layer: Optional[int] = None
    line: str = ""

    def local(self, *names: str) -> Iterator[Any]:
        """The values of the local variables of these names, innermost frame first; None is left out."""
        for frame in self.frames:
            if (variables := frame.f_locals):
                yield from (value for name in names if (value := variables.get(name)) is not None)


def caller() -> FrameType:
    """The frame that called into the recorder."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return frame


def line_of(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {frame.f_code.co_name}"


def path_in(root: Any, module: Any) -> str:
    """A module's path below a root, "" where it is not below it."""
    names = _paths.get(root)
    if names is None or id(module) not in names:
        names = _paths[root] = {id(each): name for name, each in root.named_modules()}
    return names.get(id(module), "")


def place(frame: FrameType, module: Any = None) -> Place:
    """What the stack says of a call. module: the one that makes it, where the package says it."""
    frames: list[FrameType] = []
    at: Optional[FrameType] = frame
    while at is not None:
        frames.append(at)
        at = at.f_back
    found = Place(frames, line=line_of(frame))
    torch = sys.modules.get("torch")
    if torch is None:
        return found
    modules = [each for f in frames if isinstance(each := f.f_locals.get("self"), torch.nn.Module)]
    found.module = module if module is not None else next(iter(modules), None)
    if found.module is None:
        return found
    found.root = modules[-1] if modules else found.module
    found.path = path_in(found.root, found.module) or type(found.module).__name__
    found.layer = layer_of(found.module, found.path)
    return found


def layer_of(module: Any, path: str) -> Optional[int]:
    """The index that the module names, else the last number in its path."""
    index = getattr(module, "layer_idx", None)
    if isinstance(index, int):
        return index
    numbers = re.findall(r"(?<![A-Za-z0-9])(\d+)(?![A-Za-z0-9])", path)
    return int(numbers[-1]) if numbers else None
