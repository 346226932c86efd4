"""Starting and ending a recording, from a program (record) or around one (attnfuzz record)."""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Optional

from attnfuzz_record import catch
from attnfuzz_record._folder import Folder
from attnfuzz_record._imports import Replaced, Watch
from attnfuzz_record._recorder import Limits, Recorder, graphs

VARIABLE = "ATTNFUZZ_RECORD"
"""The environment variable that hands a recording to the processes of a program: JSON with `folder`, and the limits."""
COMPILED = ("torch.compile made {count} graphs while this was recorded: calls in compiled code cannot be caught. "
            "Record with --eager (record(eager=True)), which runs the same program uncompiled")


class Recording:
    """One recording of this process, from start() to stop()."""

    def __init__(self, folder: Path, limits: Limits, about: str = "", eager: bool = False, shared: bool = False):
        self.folder = Folder(folder, about, shared)
        self.recorder = Recorder(self.folder, limits)
        self._eager, self._watch, self._replaced = eager, Watch(), Replaced()
        self._graphs = 0

    def start(self) -> None:
        for each in pkgutil.iter_modules(catch.__path__):
            for pattern, install in import_module(f"{catch.__name__}.{each.name}").WATCHES.items():
                self._watch.add(pattern, self._safely(install))
        if self._eager:
            self._watch.add("torch.compiler", lambda module: module.set_stance("force_eager"))
        self._graphs = graphs()
        self._watch.start()
        os.register_at_fork(after_in_child=self._forked)
        self.recorder.running = True

    def stop(self, error: Optional[BaseException] = None) -> None:
        """Puts everything back and writes the list of calls."""
        self.recorder.running = False
        self._watch.stop()
        self._replaced.back()
        if self._eager and "torch" in sys.modules:
            sys.modules["torch"].compiler.set_stance("default")
        if error is not None:
            self.recorder.raised(error)
        if (made := graphs() - self._graphs - self.recorder.own_graphs) > 0:
            self.folder.not_kept(COMPILED.format(count=made))
        self.folder.close()

    def _forked(self) -> None:
        if self.recorder.running:
            self.folder.forked()

    def _safely(self, install: Callable[..., None]) -> Callable[[ModuleType], None]:
        """A package that is not as expected is left alone, and the recording says so."""
        def installs(module: ModuleType) -> None:
            try:
                install(module, self.recorder, self._replaced)
            except Exception as error:
                self.folder.not_kept(f"calls of {module.__name__} cannot be caught: {type(error).__name__}: {error}")

        return installs


@contextmanager
def record(directory: str | Path, *, calls: int = 256, megabytes: float = 1024, every: int = 1, new: bool = False,
           eager: bool = False, about: str = "") -> Iterator[Recording]:
    """Records the attention calls that are made inside of the `with`, into a folder for `attnfuzz judge`.

    An error of the recorder never reaches the program: it is counted in the recording, as is each call that cannot be
    kept, with the reason. docs/recording-a-model.md lists the packages whose calls are caught.

    Args:
        directory: made if it is not there; a recording in it is written over.
        calls: at most so many calls are kept.
        megabytes: at most so many megabytes of tensors are kept.
        every: keep each caller's every n-th call.
        new: keep only calls whose shapes and options were not seen before.
        eager: run what torch.compile compiled as it was written, so that its calls can be caught.
        about: words about the recording, which `attnfuzz judge` prints.

    Yields:
        The recording, which ends with the `with`.

    Raises:
        OSError: the directory cannot be made.
    """
    recording = Recording(Path(directory), Limits(calls, megabytes, every, new), about, eager)
    recording.start()
    try:
        yield recording
    except BaseException as error:
        recording.stop(error)
        raise
    recording.stop()


def start_from_environment() -> None:
    """In a process of a program that `attnfuzz record` runs: records until the process ends.

    The program's first process always writes a recording, others where they made a call or raised an error.
    """
    options: dict[str, Any] = json.loads(os.environ[VARIABLE])
    path, first, eager = Path(options.pop("folder")), options.pop("process") == os.getpid(), options.pop("eager")
    recording = Recording(path, Limits(**options), " ".join(getattr(sys, "orig_argv", sys.argv)), eager, shared=True)
    if first:
        recording.folder.open()
    recording.start()
    hook = sys.excepthook
    errors: list[BaseException] = []

    def ended(kind: type[BaseException], error: BaseException, trace: Optional[TracebackType]) -> Any:
        errors.append(error)
        return hook(kind, error, trace)

    def stop() -> None:
        if first or recording.folder.count or errors:
            recording.stop(errors[-1] if errors else None)

    sys.excepthook = ended
    atexit.register(stop)
