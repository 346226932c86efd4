"""Find the release of a package in which a case's verdict on a target changed.

    attnfuzz bisect CASE -t PACKAGE:NAME --package DISTRIBUTION --good VERSION --bad VERSION

Either may be the older one: good older than bad finds the release that broke it, bad older the one that fixed it. The
releases between them are the published ones (pip index versions; no pre-releases). Each gets an environment
DISTRIBUTION-VERSION as in environments.toml, made when it is needed; one that the table lacks takes its base and other
pins from the nearest older release that the table has. A release that can't be installed or asked is stepped over.
Exit: 0 found, 2 wrong usage or input (so also a good end that fails, or a bad one that passes), 3 no release left to ask.
"""
from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import env
from replay import verdict


def number(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


def published(python: Path, package: str) -> list[str]:
    """All releases of a distribution that pip knows, oldest first."""
    text = subprocess.run([python, "-m", "pip", "index", "versions", package], text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    listed = re.search(r"Available versions: (.*)", text)
    return sorted(listed[1].split(", "), key=number) if listed else []


def environment(data: dict, package: str, version: str) -> str:
    """The name of the release's environment; one that the table lacks is added to `data`."""
    name = f"{package}-{version}"
    if name not in data["env"]:
        known = [v for e in data["env"] if (v := e.removeprefix(f"{package}-")) != e and re.fullmatch(r"[\d.]+", v)]
        older = [v for v in known if number(v) <= number(version)] or known
        if not older:
            raise LookupError(f"environments.toml has no {package}-VERSION to take other pins from")
        like = data["env"][f"{package}-{max(older, key=number)}"]
        others = [p for p in like["packages"] if not p.startswith(f"{package}==")]
        data["env"][name] = {"base": like["base"], "packages": [f"{package}=={version}", *others]}
    return name


def ask(data: dict, case: Path, target: str, package: str, version: str) -> dict:
    """The verdict on one release."""
    name = environment(data, package, version)
    try:
        env.create(data, name)
    except subprocess.CalledProcessError:
        return {"verdict": "not run", "signature": "", "detail": "not published for this platform"}
    return verdict(case, f"{target}@{name}")


def search(releases: list[str], good: str, bad: str, ask_release) -> tuple[str, str, dict]:
    """(good, bad, verdicts by release): neighbours of different verdict, but for releases that can't be asked.

    `ask_release(version)` gives a verdict; one that neither passes nor fails is stepped over. ValueError when an end is
    not what it was said to be.
    """
    seen = {}

    def passes(version: str) -> bool | None:
        seen[version] = ask_release(version)
        word = seen[version]["verdict"]
        return True if word == "pass" else False if word.startswith("fail:") else None

    for end, wanted in ((good, True), (bad, False)):
        if passes(end) is not wanted:
            raise ValueError(f'{end} was to {"pass" if wanted else "fail"}, it says {seen[end]["verdict"]}: '
                             f'{seen[end]["detail"]}')
    between = [r for r in releases if min(number(good), number(bad)) < number(r) < max(number(good), number(bad))]
    between = between if number(good) < number(bad) else between[::-1]  # from good to bad
    while between:
        middle = min(range(len(between)), key=lambda i: abs(2 * i - len(between) + 1))
        version = between[middle]
        answer = passes(version)
        if answer is None:
            between.pop(middle)
        elif answer:
            good, between = version, between[middle + 1:]
        else:
            bad, between = version, between[:middle]
    return good, bad, seen


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="attnfuzz bisect", description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path, metavar="CASE", help="the case file")
    parser.add_argument("-t", "--target", required=True, metavar="PACKAGE:NAME",
                        help="the target to run it on, without an environment")
    parser.add_argument("--package", required=True, metavar="DISTRIBUTION", help="the package whose release changes")
    parser.add_argument("--good", required=True, metavar="VERSION", help="a release on which the case passes")
    parser.add_argument("--bad", required=True, metavar="VERSION", help="a release on which the case fails")
    args = parser.parse_args(argv)
    if "@" in args.target:
        parser.error("the target's environment comes from --package and the release: leave @… out")
    if not args.case.is_file():
        parser.error(f"{args.case}: expected a case file")
    data = env.table()

    def ask_release(version: str) -> dict:
        found = ask(data, args.case, args.target, args.package, version)
        print(f'{version:12} {found["verdict"]:16} {found.get("signature", ""):24} {found["detail"][:120]}', flush=True)
        return found

    try:
        base = data["env"][environment(data, args.package, args.good)]["base"]
        env.create(data, base)
        releases = published(env.python(base), args.package)
        good, bad, _ = search(releases, args.good, args.bad, ask_release)
    except (LookupError, ValueError) as e:
        print(f"attnfuzz bisect: {e}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as e:
        print(f"attnfuzz bisect: {Path(e.cmd[0]).name} failed with status {e.returncode}", file=sys.stderr)
        return 3
    broke = number(good) < number(bad)
    print(f'{"broken" if broke else "fixed"} in {args.package} {bad if broke else good}: '
          f"{good} passes, {bad} fails")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
