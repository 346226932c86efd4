"""The recorder: which calls are kept, and what is done before and after each. It must never disturb the program.

Whatever goes wrong in here is counted among the calls that were not kept, with its reason; the call itself is made
in any case, once, with the arguments as they came.
"""

from __future__ import annotations

import functools
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Optional

from attnfuzz_record._call import Call, to_case
from attnfuzz_record._config import demanded
from attnfuzz_record._errors import NotSaid
from attnfuzz_record._folder import Entry, Folder
from attnfuzz_record._where import Place, caller, layer_of, line_of, place

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    """What is kept: so many calls and bytes, every n-th call of each caller, and only what looks new."""

    calls: int = 256
    megabytes: float = 1024
    every: int = 1
    new: bool = False


@dataclass(frozen=True)
class Caught:
    """A kind of call, as a file in catch/ describes it."""

    function: str
    describe: Callable[[tuple[Any, ...], dict[str, Any]], Call]
    """The arguments → what was asked. Raises NotSaid."""
    results: Callable[[Call, Any], None]
    """Puts what the call gave into call.outputs."""
    module: Optional[Callable[[tuple[Any, ...], dict[str, Any]], Any]] = None
    """The arguments → the torch.nn.Module that calls, where the package says it."""


@dataclass
class Kept:
    """A call between its beginning and its end."""

    call: Call
    place: Place
    step: int


def looks(value: Any) -> Any:
    """What two calls must have in common to look alike: of tensors the shape and type, of options the value."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return tuple(value.shape), str(value.dtype)
    return value if isinstance(value, (bool, int, float, str, type(None))) else type(value).__name__


class Recorder:
    """Catches the calls of wrapped functions and keeps them in a folder."""

    def __init__(self, folder: Folder, limits: Limits):
        self.folder, self.limits, self.running = folder, limits, False
        self._here, self._lock = threading.local(), threading.Lock()
        self._counts: dict[Any, int] = {}
        self._seen: set[Any] = set()
        self.own_graphs = 0  # that torch.compile made for a function that was caught (flex_attention's)
        self._told: Optional[BaseException] = None

    def wrap(self, original: Callable[..., Any], caught: Caught) -> Callable[..., Any]:
        """The function, with its calls caught while the recorder runs. torch.compile and torch.jit see the original."""
        compiling = _is_compiling()

        @functools.wraps(original)
        def calls(*args: Any, **kwargs: Any) -> Any:
            if not self.running or compiling():
                return original(*args, **kwargs)
            return self.call(original, caught, args, kwargs)

        return calls

    def call(self, original: Callable[..., Any], caught: Caught, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One call. A function that another caught function calls is a part of that one."""
        if getattr(self._here, "inside", False):
            return original(*args, **kwargs)
        self._here.inside, before = True, graphs()
        try:
            kept = self._begin(caught, args, kwargs)
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                if kept is not None:
                    self._keep(kept, error=error)
                raise
            if kept is not None:
                self._keep(kept, caught, result)
            return result
        finally:
            self._here.inside = False
            self.own_graphs += graphs() - before

    def wanted(self, function: str, owner: int) -> Optional[int]:
        """The step of a caller's next call if it is kept, for a package that must prepare it."""
        with self._lock:
            self._counts[owner] = step = self._counts.get(owner, -1) + 1
        if reason := self._over(step):
            self.folder.not_kept(reason, function)
        return None if reason else step

    def seen(self, caught: Caught, result: Any, module: str, step: int) -> None:
        """Keeps a call that was made already, whose arguments its Caught knows."""
        try:
            call = caught.describe((), {})
            at = place(caller())
            at.path, at.layer = module, layer_of(None, module)
            self._keep(Kept(call, at, step), caught, result)
        except NotSaid as reason:
            self.folder.not_kept(str(reason), caught.function, module)
        except Exception as error:
            self._failed(error, caught.function)

    def _begin(self, caught: Caught, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[Kept]:
        frame: Optional[FrameType] = None
        try:
            module = caught.module(args, kwargs) if caught.module is not None else None
            frame = caller()
            step = self._count(frame, module)
            if reason := self._refuses(caught, args, kwargs, step):
                self.folder.not_kept(reason, caught.function)
                return None
            call = caught.describe(args, kwargs)
            at = place(frame, module)
            return Kept(call, at, step)
        except NotSaid as reason:
            self.folder.not_kept(str(reason), caught.function, line_of(frame) if frame else "")
        except Exception as error:
            self._failed(error, caught.function)
        return None

    def _count(self, frame: FrameType, module: Any) -> int:
        """How many calls this caller has made before: a layer makes one in each forward pass."""
        owner = module if module is not None else frame.f_locals.get("self")
        key = (frame.f_code, frame.f_lineno, id(owner))
        with self._lock:
            self._counts[key] = step = self._counts.get(key, -1) + 1
        return step

    def _over(self, step: int) -> str:
        """Why a call is not kept, by the limits; "" if it is."""
        if step % self.limits.every:
            return f"only every {self.limits.every}th call of each caller is kept"
        if self.folder.count >= self.limits.calls:
            return f"the limit of {self.limits.calls} calls was reached"
        if self.folder.bytes >= self.limits.megabytes * 1e6:
            return f"the limit of {self.limits.megabytes:g} MB was reached"
        return ""

    def _refuses(self, caught: Caught, args: tuple[Any, ...], kwargs: dict[str, Any], step: int) -> str:
        """The same, and what looks like an earlier call."""
        if reason := self._over(step):
            return reason
        if self.limits.new:
            options = ((name, looks(value)) for name, value in sorted(kwargs.items()))
            key = (caught.function, *map(looks, args), *options)
            with self._lock:
                if key in self._seen:
                    return "its shapes and options were seen before"
                self._seen.add(key)
        return ""

    def _keep(self, kept: Kept, caught: Optional[Caught] = None, result: Any = None,
              error: Optional[BaseException] = None) -> None:
        """Writes a call that returned or raised. Nothing that fails here reaches the program."""
        try:
            if caught is not None:
                caught.results(kept.call, result)
            at = kept.place
            entry = Entry(function=kept.call.function, module=at.path, layer=at.layer, where=at.line,
                          step=kept.step if at.path else None,
                          precision=kept.call.precision, options=kept.call.options)
            if error is not None:
                self._told, entry.error = error, f"{type(error).__name__}: {error}"
            asked = functools.partial(to_case, kept.call)
            try:
                config = demanded(kept.call, at)
            except Exception as reason:
                config = None
                self.folder.not_kept(f"no Case by the model's configuration: {reason}", kept.call.function)
            by_config = functools.partial(to_case, config) if config is not None else None
            self.folder.config_of(at)
            self.folder.add(entry, asked, kept.call.outputs, by_config)
        except NotSaid as reason:
            raised = f" (the call raised {type(error).__name__}: {error})" if error is not None else ""
            self.folder.not_kept(f"{reason}{raised}", kept.call.function, kept.place.line)
        except Exception as failure:
            self._failed(failure, kept.call.function)

    def _failed(self, error: Exception, function: str) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error} ({last.name}, line {last.lineno})"
        self.folder.not_kept(f"the recorder failed: {told}", function)

    def raised(self, error: BaseException) -> None:
        """The program ends with this error, outside of all caught calls: told with the place where it was raised."""
        if error is self._told or isinstance(error, (SystemExit, KeyboardInterrupt)) or error.__traceback__ is None:
            return
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        at = place(frames[-1])
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}"
        inside = f" in {at.path} ({type(at.module).__name__})" if at.module is not None else ""
        self.folder.not_kept(f"the program raised {type(error).__name__}: {error}, outside of attention calls{inside}",
                             where=line)


def graphs() -> int:
    """How many graphs torch.compile has made in this process."""
    counters = getattr(sys.modules.get("torch._dynamo.utils"), "counters", None)
    return int(counters["stats"]["unique_graphs"]) if counters else 0


def _is_compiling() -> Callable[[], bool]:
    """torch.compiler's question, or a constant where there is no PyTorch."""
    if "torch" not in sys.modules:
        return lambda: False
    from torch.compiler import is_compiling

    return is_compiling
