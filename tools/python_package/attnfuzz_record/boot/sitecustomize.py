"""Found by a Python that `attnfuzz record` starts, before the program runs: starts the recording in it.

The interpreter's own sitecustomize, which this one hides, is run too.
"""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType

here = os.path.dirname(os.path.abspath(__file__))
others = [path for path in sys.path if os.path.abspath(path or ".") != here]
hidden = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
if hidden is not None and hidden.loader is not None:
    hidden.loader.exec_module(importlib.util.module_from_spec(hidden))


def package() -> ModuleType:
    """attnfuzz_record by its place alone: what lies beside it belongs to another interpreter."""
    folder = os.path.dirname(here)
    spec = importlib.util.spec_from_file_location("attnfuzz_record", os.path.join(folder, "__init__.py"),
                                                  submodule_search_locations=[folder])
    assert spec is not None and spec.loader is not None
    module = sys.modules["attnfuzz_record"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return importlib.import_module("attnfuzz_record._start")


if os.environ.get("ATTNFUZZ_RECORD"):
    try:
        package().start_from_environment()
    except Exception as error:  # the program runs, recorded or not
        print(f"attnfuzz record: cannot record: {error}", file=sys.stderr)
