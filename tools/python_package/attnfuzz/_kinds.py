"""Which package's arrays a function takes: by what its code says, and by a trial call where that leaves a doubt."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from attnfuzz import _arrays
from attnfuzz._core import InputError

PACKAGES = ("torch", "jax", "cupy")
"""Packages that a function's code may name; NumPy is what remains."""
DEPTH = 4
"""How far the functions that a function calls are followed."""


@dataclass(frozen=True)
class Kind:
    """The package whose arrays a function gets, and the reason for it in words."""

    arrays: str | ModuleType
    why: str

    @property
    def name(self) -> str:
        return self.arrays if isinstance(self.arrays, str) else self.arrays.__name__


@dataclass(frozen=True)
class Hint:
    """A package that something about a function points to. `sure`: no trial call is needed to believe it."""

    package: str
    why: str
    sure: bool = False


def package_in(text: str) -> str | None:
    """The package that a dotted name, or an annotation's text, belongs to."""
    words = text.replace("'", ".").replace('"', ".").replace(" ", ".").replace("[", ".").replace("|", ".").split(".")
    if words[0] in ("jaxlib", "jaxtyping"):
        return "jax" if words[0] == "jaxlib" else None
    return next((package for package in PACKAGES if package in words), None)


def _layers(fn: Any) -> Iterator[Any]:
    """The function, then what its decorators and functools.partial wrap, outermost first."""
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        yield fn
        fn = fn.func if isinstance(fn, functools.partial) else getattr(fn, "__wrapped__", None)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named(fn: Any) -> Iterator[Any]:
    """The values behind the global and free names of a function's code; of a class, those of its methods."""
    if isinstance(fn, type):
        for value in vars(fn).values():
            value = getattr(value, "__func__", value)
            if not isinstance(value, type):  # which may be this one
                yield from _named(value)
        return
    fn = getattr(fn, "__func__", fn)
    if (code := getattr(fn, "__code__", None)) is None:
        return
    scope = fn.__globals__ | dict(zip(code.co_freevars, map(_content, fn.__closure__ or ())))
    for each in _codes(code):
        for name in (*each.co_names, *each.co_freevars):
            if name in scope:
                yield scope[name]


def _home(value: Any) -> str:
    """The module that a value is, or that it or its class comes from."""
    if isinstance(value, ModuleType):
        return value.__name__
    return getattr(value, "__module__", None) or type(value).__module__ or ""


def _follow(fn: Any, depth: int, seen: set[int]) -> Iterator[str]:
    """The packages that a function's code and the code that it calls name, the nearest first."""
    values = [value for value in _named(fn) if id(value) not in seen]
    seen.update(map(id, values))
    for value in values:
        homes = [_home(value)]
        if isinstance(value, type):
            homes.extend(base.__module__ for base in value.__mro__)
        yield from filter(None, map(package_in, homes))
    for value in values if depth else ():
        if not isinstance(value, ModuleType) and _home(value).partition(".")[0] not in (*PACKAGES, "numpy", "builtins"):
            for layer in _layers(value):
                yield from _follow(layer, depth - 1, seen)


def _annotations(fn: Any) -> str:
    return " ".join(str(each) for each in getattr(getattr(fn, "forward", fn), "__annotations__", {}).values())


def _bound_to(fn: Any) -> Iterator[str]:
    """The modules of a callable's class, and of the class whose method it is (torch.autograd.Function.apply)."""
    for owner in (type(fn), getattr(fn, "__self__", None)):
        if owner is not None:
            owner = owner if isinstance(owner, type) else type(owner)
            yield from (base.__module__ for base in owner.__mro__)


def hints(fn: Callable[..., Any]) -> Iterator[Hint]:
    """What points to a package, the most telling first."""
    layers = list(_layers(fn))
    for layer in layers:
        if package := package_in(_annotations(layer)):
            yield Hint(package, "its annotations name it", True)
    for layer in layers:
        for module in _bound_to(layer):
            if package := package_in(module):
                yield Hint(package, "its class comes from there", True)
    for layer in layers:
        if package := package_in(getattr(layer, "__module__", None) or ""):
            yield Hint(package, "it is a function of that package", True)
    for layer in layers[:-1]:
        home = getattr(getattr(layer, "__code__", None), "co_filename", "").replace("/", ".")
        if package := package_in(home):
            yield Hint(package, "a decorator comes from there")
    for layer in layers:
        for package in _follow(layer, DEPTH, set()):
            yield Hint(package, "its code names it")
    home_module = sys.modules.get(getattr(inspect.unwrap(layers[-1]), "__module__", None) or "")
    for value in list(vars(home_module).values()) if home_module else ():
        if isinstance(value, ModuleType) and (package := package_in(value.__name__)):
            yield Hint(package, "its module imports it")


def _homes(fn: Any) -> Iterator[str]:
    """The modules that a function, its annotations and its code name, the nearest first."""
    for layer in _layers(fn):
        yield getattr(layer, "__module__", None) or ""
        yield from _bound_to(layer)
    for layer in _layers(fn):
        yield from map(_home, _named(layer))


def others(fn: Callable[..., Any]) -> Iterator[Hint]:
    """Modules beside PACKAGES that a function names and that make arrays of their own (mlx.core, paddle, tinygrad)."""
    seen: set[str] = set()
    for home in _homes(fn):
        words = home.split(".")
        for n in range(len(words), 0, -1):
            name = ".".join(words[:n])
            if words[0] in (*PACKAGES, "numpy", "jaxlib", "ml_dtypes", *sys.stdlib_module_names) or name in seen:
                break
            seen.add(name)
            module = sys.modules.get(name)
            if module is not None and _arrays.maker(module) is not None:
                yield Hint(name, f"its code names {words[0]}, which has arrays of its own")


def choose(fn: Callable[..., Any], trial: Callable[[str], int] | None = None) -> Kind:
    """The kind of arrays for a function.

    `trial` makes one call with one kind of arrays and gives 0 where it fails, 1 where an array of the right shape comes
    back, 2 where it is one of the same kind. It decides between what the code names, NumPy, and what else is loaded.
    Without it no call is made.
    """
    found: dict[str, Hint] = {}
    for hint in (*hints(fn), *others(fn)):
        found.setdefault(hint.package, hint)
    first = next(iter(found.values()), Hint("numpy", "nothing names another package"))
    if first.sure or trial is None:
        return Kind(first.package, first.why)
    loaded = [name for name in PACKAGES if name in sys.modules]
    best, most = "", 0
    for name in dict.fromkeys([*found, "numpy", *loaded]):
        if most < 2 and _installed(name) and (score := trial(name)) > most:
            best, most = name, score
    if not best:
        return Kind(first.package, f"{first.why}; a trial call failed with every kind")
    if best == first.package:
        return Kind(best, f"{first.why}, and a trial call works")
    return Kind(best, f"a trial call works with it, and not with {first.package}, though {first.why}"
                if most > 1 or first.package != "numpy" else "a trial call works with it alone")


def _installed(name: str) -> bool:
    try:
        _arrays.giver(name)
    except InputError:
        return False
    return True
