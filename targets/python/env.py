"""Pinned Python environments for the packages under test, from environments.toml.

    env.py list              every environment: its state, and what it pins
    env.py create NAME…      make it (PyPI only, no dependency solving: the table names every package)
    env.py path NAME         print its Python interpreter

An environment is a venv of its own that lies over a shared base venv (torch and other large packages): its own
site-packages come first, base.pth adds the base's after them. So fifty releases of one package cost fifty small folders.
They live under $ATTNFUZZ_ENVS, or envs/ at the top of the checkout. An env with a `source` (a commit that no release
holds) also takes that commit's files from a clone of yours: $ATTNFUZZ_SOURCES/OWNER+NAME.
Exit: 0 done, 2 no such name or wrong usage, 3 pip or git failed, 4 not installed here (callers skip, and say so).
"""
from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

TABLE = Path(__file__).with_name("environments.toml")
ROOT = Path(os.environ.get("ATTNFUZZ_ENVS") or Path(__file__).resolve().parents[2] / "envs")


def table() -> dict:
    """The parsed table, with `family` entries (one environment a version) written out."""
    data = tomllib.loads(TABLE.read_text())
    for family in data.get("family", []):
        for version in family["versions"]:
            name = f'{family["package"]}-{version}'
            data["env"].setdefault(name, {"base": family["base"], "packages": [
                f'{family["package"]}=={version}', *family.get("with", [])], "note": family.get("note", "")})
    return data


def python(name: str) -> Path:
    return ROOT / name / "bin" / "python"


def site(name: str) -> Path:
    return ROOT / name / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def pins(data: dict, name: str) -> list[str]:
    return data["env"][name]["packages"] if name in data["env"] else data["base"][name]["packages"]


def stamp(data: dict, name: str) -> str:
    """Changes when the pins do, so that an edited table makes an old environment count as missing."""
    base = data["env"].get(name, {}).get("base")
    source = data["env"].get(name, {}).get("source", {})
    text = "\n".join(pins(data, name) + (pins(data, base) if base else []) + list(source.values()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def unpack(source: dict, into: Path) -> None:
    """Put one folder of a commit, from the reader's own clone, into an environment; nothing of it enters this project."""
    clone = Path(os.environ.get("ATTNFUZZ_SOURCES", "")) / source["repository"].replace("/", "+")
    git = next((p for p in (clone / ".git", clone / "repo", clone) if (p / "HEAD").exists()), None)
    if git is None:
        raise LookupError(f'it needs a clone of {source["repository"]} at $ATTNFUZZ_SOURCES/{clone.name}')
    archive = subprocess.run(["git", "--git-dir", str(git), "archive", source["commit"], source["folder"]], check=True,
                             stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(into)], input=archive, check=True)


def installed(data: dict, name: str) -> bool:
    mark = ROOT / name / "stamp"
    return python(name).exists() and mark.exists() and mark.read_text() == stamp(data, name)


def create(data: dict, name: str) -> None:
    """Make the environment (and its base) unless it is there already; half-made ones are made anew."""
    if installed(data, name):
        return
    base = data["env"].get(name, {}).get("base")
    if base:
        create(data, base)
    shutil.rmtree(ROOT / name, ignore_errors=True)
    print(f"making {name}: {' '.join(pins(data, name))}", file=sys.stderr, flush=True)
    venv.create(ROOT / name, with_pip=base is None, symlinks=True)
    pip = [str(python(base or name)), "-m", "pip", "--quiet", "--no-input", "install", "--only-binary=:all:"]
    pip += ["--no-compile", "--no-deps", "--target", str(site(name))] if base else []
    subprocess.run(pip + pins(data, name), check=True)
    if base:
        (site(name) / "base.pth").write_text(f"{site(base)}\n")
    if source := data["env"].get(name, {}).get("source"):
        unpack(source, site(name))
    (ROOT / name / "stamp").write_text(stamp(data, name))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="attnfuzz env", description="Pinned environments of packages under test.")
    sub = parser.add_subparsers(dest="command", required=True)
    sub.add_parser("list", help="every environment, its state and its pins")
    sub.add_parser("create", help="make environments").add_argument("name", nargs="+")
    sub.add_parser("path", help="print an environment's interpreter").add_argument("name")
    args = parser.parse_args(argv)
    data = table()

    if args.command == "list":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for name, entry in data["env"].items():
            state = "installed" if installed(data, name) else "missing"
            print(f'{name:28} {state:10} {" ".join(entry["packages"])}  over {entry["base"]}')
        return 0
    names = [args.name] if isinstance(args.name, str) else args.name
    for name in names:
        if name not in data["env"] and name not in data["base"]:
            print(f"no environment named {name}: 'attnfuzz env list' shows them", file=sys.stderr)
            return 2
    if args.command == "path":
        if not installed(data, args.name):
            print(f"skipped: environment {args.name} is not installed (attnfuzz env create {args.name})", file=sys.stderr)
            return 4
        print(python(args.name))
        return 0
    for name in names:
        try:
            create(data, name)
        except LookupError as missing:
            print(f"skipped: environment {name}: {missing}", file=sys.stderr)
            return 4
        except subprocess.CalledProcessError as failure:
            print(f"{name}: {Path(failure.cmd[0]).name} failed with status {failure.returncode}", file=sys.stderr)
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
