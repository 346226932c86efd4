"""The parameters of a function under test, and which of them are q, k and v."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def parameters_of(fn: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters (a torch module's: those of forward); None where a function hides them (some built in C do)."""
    try:
        return list(inspect.signature(getattr(fn, "forward", fn)).parameters.values())
    except (TypeError, ValueError):
        return _documented(fn)


def _documented(fn: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters by the documentation's first line, where functions built in C (nanobind, pybind11) say them."""
    for line in (getattr(fn, "__doc__", None) or "").splitlines():
        if line.strip().startswith(f"{getattr(fn, '__name__', '')}("):
            try:
                (parsed,) = ast.parse(f"def {line.strip().rstrip(':')}: pass").body
            except SyntaxError:
                return None
            return list(_parameters(parsed.args)) if isinstance(parsed, ast.FunctionDef) else None
    return None


def _parameters(arguments: ast.arguments) -> Iterator[inspect.Parameter]:
    """The parameters of a parsed definition; defaults and annotations are texts, but for None and numbers."""
    empty, p = inspect.Parameter.empty, inspect.Parameter

    def made(each: ast.arg, kind: Any, default: ast.expr | None) -> inspect.Parameter:
        value = empty if default is None else getattr(default, "value", ast.unparse(default))
        return p(each.arg, kind, default=value, annotation=ast.unparse(each.annotation) if each.annotation else empty)

    places = [*((each, p.POSITIONAL_ONLY) for each in arguments.posonlyargs),
              *((each, p.POSITIONAL_OR_KEYWORD) for each in arguments.args)]
    defaults = [None] * (len(places) - len(arguments.defaults)) + list(arguments.defaults)
    for (each, kind), default in zip(places, defaults):
        yield made(each, kind, default)
    if arguments.vararg:
        yield p(arguments.vararg.arg, p.VAR_POSITIONAL)
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        yield made(each, p.KEYWORD_ONLY, default)
    if arguments.kwarg:
        yield p(arguments.kwarg.arg, p.VAR_KEYWORD)


def takes_none(parameter: inspect.Parameter) -> bool:
    annotation = str(parameter.annotation)
    return parameter.default is None or "None" in annotation or "Optional" in annotation


ROLES = {
    letter: frozenset((letter, word, plural, f"x{letter}", f"{word}_states", f"{word}_layer", f"{word}_heads"))
    for letter, word, plural in (("q", "query", "queries"), ("k", "key", "keys"), ("v", "value", "values"))
}
"""What parameters for q, k and v are called, in lower case."""


def roles_of(parameters: list[inspect.Parameter], said: Mapping[str, str]) -> dict[str, str]:
    """Parameter → q, k or v, where the names or the claims say all three; nothing else."""
    found = {p.name: role for p in parameters for role, names in ROLES.items() if p.name.lower().strip("_") in names}
    found = {name: role for name, role in found.items() if name not in said}
    found |= {name: role for name, role in said.items() if role in ROLES}
    return found if sorted(found.values()) == ["k", "q", "v"] else {}


def class_of(fn: Callable[..., Any], parameter: str) -> type | None:
    """The class of the function's own package by which a parameter is annotated, such as one that holds a mask."""
    inner = inspect.unwrap(getattr(fn, "forward", fn))
    try:
        annotation = typing.get_type_hints(inner).get(parameter)
    except Exception:  # names that are there for type checkers alone
        return None
    choices = [each for each in typing.get_args(annotation) or (annotation,) if isinstance(each, type)]
    package = (getattr(inner, "__module__", None) or "").partition(".")[0]
    own = [each for each in choices if each.__module__.partition(".")[0] == package]
    return own[0] if len(own) == 1 and not _is_array(own[0]) else None


def _is_array(cls: type) -> bool:
    """Whether objects of a class are arrays themselves: they can be multiplied. One that holds a mask has but a shape."""
    return hasattr(cls, "shape") and hasattr(cls, "__mul__")
