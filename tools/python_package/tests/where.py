"""Where the package under test is: in the build tree, or installed."""

from importlib.metadata import entry_points

PLUGIN = [] if any(e.name == "attnfuzz" for e in entry_points(group="pytest11")) else ["-p", "attnfuzz.pytest_plugin"]
"""pytest's arguments for the plug-in; installed, it is loaded by itself."""
