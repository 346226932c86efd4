"""What a name stands for: "module:function", "module:Class(window=64)", "module:Class(8).method"."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from attnfuzz._core import InputError
from attnfuzz._signature import takes_none


@dataclass(frozen=True)
class Place:
    """Where a function is imported from."""

    module: str
    path: str  # "function", "Class.method" or an expression with calls
    file: str  # of a script; empty: `module` is imported by its name


_named: dict[int, tuple[Any, Place]] = {}
"""Objects that were loaded by a name, which they may not know: id → the object, kept alive, and its place."""


def remember(found: Any, place: Place) -> None:
    """Keeps the name that an object was loaded by."""
    _named[id(found)] = found, place


def remembered(found: Any) -> Place | None:
    """The place that an object was loaded from; None where it was not loaded by a name."""
    known = _named.get(id(found))
    return known[1] if known and known[0] is found else None


def resolve(module: ModuleType, path: str) -> Any:
    """The object of a path, ready to be called with q, k and v.

    A path is an expression of names of the module, dots and calls whose arguments are literals or such expressions. A
    class is made into an object, and a PyTorch function's class stands for its `apply`. Raises AttributeError for a
    name that the module does not have, and InputError for what can't be evaluated.
    """
    try:
        node = ast.parse(path, mode="eval").body
    except SyntaxError as e:
        raise InputError(f"{path}: expected a name, or a call such as Class(window=64): {e.msg}") from None
    found = _value(module, node, path)
    return made(found, path) if isinstance(found, type) else found


def made(cls: type, path: str) -> Any:
    """What a class stands for."""
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(cls, torch.autograd.Function):
        return _applied(cls, torch)
    return _called(cls, [], _nothing(cls), path)


def _applied(cls: Any, torch: Any) -> Callable[..., Any]:
    """`apply` of a PyTorch function, with the parameters of its `forward`; it takes them by place alone."""
    parameters = list(inspect.signature(cls.forward).parameters.values())
    if cls.setup_context is torch.autograd.Function.setup_context:
        parameters = parameters[1:]  # the first is the context
    signature = inspect.Signature(parameters)

    def apply(*arguments: Any, **keywords: Any) -> Any:
        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        return cls.apply(*bound.args)

    vars(apply)["__signature__"] = signature
    apply.__module__, apply.__qualname__ = cls.__module__, cls.__qualname__
    return apply


def _nothing(cls: type) -> dict[str, Any]:
    """What stands for "not used" where a class demands it: no dropout, and None where that may be."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return {}
    demanded = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: None if takes_none(p) else 0.0 for p in demanded if takes_none(p) or "dropout" in p.name}


def _value(module: ModuleType, node: ast.expr, path: str) -> Any:
    if isinstance(node, ast.Name):
        return getattr(module, node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_value(module, node.value, path), node.attr)
    if isinstance(node, ast.Call) and all(keyword.arg for keyword in node.keywords):
        arguments = [_argument(module, each, path) for each in node.args]
        keywords = {str(each.arg): _argument(module, each.value, path) for each in node.keywords}
        return _called(_value(module, node.func, path), arguments, keywords, path)
    raise InputError(f"{path}: expected names, dots and calls, found {ast.unparse(node)}")


def _argument(module: ModuleType, node: ast.expr, path: str) -> Any:
    if isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
        return _value(module, node, path)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise InputError(f"{path}: expected a literal or a name as an argument, found {ast.unparse(node)}") from None


def _called(fn: Any, arguments: list[Any], keywords: dict[str, Any], path: str) -> Any:
    """What a call gives; a layer comes in the mode in which it drops nothing."""
    try:
        found = fn(*arguments, **keywords)
    except Exception as e:
        try:
            shown = str(inspect.signature(fn))
        except (TypeError, ValueError):
            shown = "(…)"
        call = f"{getattr(fn, '__name__', type(fn).__name__)}{shown}"
        raise InputError(f"{path}: {call} can't be called so: {type(e).__name__}: {e}; expected its arguments, as in "
                         "module:Class(window=64)") from None
    torch = sys.modules.get("torch")
    return found.eval() if torch is not None and isinstance(found, torch.nn.Module) else found
