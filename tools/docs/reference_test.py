"""The reference pages: everything public is on them, with its arguments and errors, and so is all of the C header."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tools" / "python_package" / "attnfuzz"
HEADER = ROOT / "targets" / "attnfuzz_target.h"


def hook(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public_names():
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError("no __all__")


def functions():
    """(file:name, its definition) of each function whose arguments a docstring lists."""
    return [(f"{file.name}:{node.name}", node) for file in sorted(PACKAGE.glob("*.py"))
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.FunctionDef) and "Args:" in (ast.get_docstring(node) or "")]


def test_the_python_page_has_everything_public():
    page = (ROOT / "docs" / "python-api.md").read_text()
    shown = set(re.findall(r"^::: attnfuzz\.(\w+)$", page, re.MULTILINE))
    assert set(public_names()) <= shown


@pytest.mark.parametrize("name, function", functions(), ids=lambda each: each if isinstance(each, str) else "")
def test_a_docstring_names_each_argument_once(name, function):
    part = ast.get_docstring(function).partition("Args:\n")[2]
    told = re.findall(r"^    (\*{0,2}\w+): ", re.split(r"^\S", part, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    args = function.args
    names = [each.arg for each in [*args.posonlyargs, *args.args] if each.arg != "self"]
    names += [f"*{each.arg}" for each in [args.vararg] if each] + [each.arg for each in args.kwonlyargs]
    names += [f"**{each.arg}" for each in [args.kwarg] if each]
    assert told == names


def test_every_declaration_of_the_header_is_on_the_page():
    code = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    names = set(re.findall(r"\b(?:ATTNFUZZ|attnfuzz)_(?!TARGET_H)\w+", code))
    names |= set(re.findall(r"([a-z]\w*)[;,]", re.sub(r"\([^()]*\)", "", code)))  # members; those of a list of them too
    names |= set(re.findall(r"\(\*(\w+)\)\(", code))  # and those that are functions
    page = hook("c_header").markdown(HEADER.read_text())
    assert len(names) > 30 and {"num_kv_heads", "cache_step", "ATTNFUZZ_FATAL", "attnfuzz_plugin"} <= names
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []


def test_every_sentence_of_the_header_is_on_the_page():
    def bare(text):
        return re.sub(r"[\s*`\\-]+", " ", text.replace("`:", ":")).strip()

    page = bare(hook("c_header").markdown(HEADER.read_text()))
    for comment in re.findall(r"/\*(.*?)\*/", HEADER.read_text(), flags=re.DOTALL):
        assert bare(comment) in page, comment


def test_a_header_is_taken_apart():
    text = hook("c_header").markdown(
        "#ifndef H\n#define H\n/* All of it. */\n#include <stdint.h>\n#define LIMIT 3\n\n"
        "/* What went wrong. */\ntypedef enum kind {\n  ONE = 0,\n  TWO = 1 /* the second,\n            and the last */\n} kind;\n\n"
        "/* A call. */\ntypedef struct call call;\nstruct call {\n  int a, b; /* sizes */\n\n"
        "  /* Asks:\n   *   x  one\n   *   y  two */\n  int (*ask)(const call*, int);\n};\n#endif\n")
    assert text.startswith("All of it.")
    assert "## LIMIT\n\n```c\n#define LIMIT 3\n```" in text
    assert "- `ONE = 0`\n- `TWO = 1`: the second, and the last" in text
    assert text.count("## call") == 1 and "## call\n\nA call.\n\n- `int a, b`: sizes" in text
    assert "```c\nint (*ask)(const call*, int);\n```\n\nAsks:\n\n```\nx  one\ny  two\n```" in text
