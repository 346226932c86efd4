#!/usr/bin/env python3
"""Runs attnfuzz at full speed for a long time and watches its memory.

    tools/reliability/soak.py --program build/fuzz/attnfuzz --time 30m --out soak

The time is shared among the lines of RUNS. Every second the resident memory of all processes of the run
is noted: soak.csv, and drawn: soak.svg. Fails (exit 1) where memory grew by more than a tenth between
the second and the last quarter of a run, where a sanitizer reported anything, or where attnfuzz itself
failed. LeakSanitizer looks at the end of each run. Build the program with a sanitizer (preset asan or
fuzz) for all of this to mean something."""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

RUNS = {  # one target each: another target is another process
    "right, in a worker": ["-t", "cpu:tiled", "--isolate"],
    "right, 2 processes": ["-t", "cpu:paged-cache", "--jobs", "2"],
    "wrong, findings shrunk": ["-t", "specimen:gla-cache-offset", "--isolate"],
    "workers that die": ["-t", "hostile:abort", "--max-shrink-tries", "50"],
}
UNITS = {"s": 1, "m": 60, "h": 3600}
PAGE = os.sysconf("SC_PAGESIZE")


def seconds_of(text):
    return float(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else float(text)


def resident(session):
    """Bytes of all processes of a session (workers lead groups, not sessions, of their own)."""
    total = 0
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            total += int(fields[21]) * PAGE
    return total


def run(program, words, seconds, dir):
    """(samples in MiB, exit code, what was printed)"""
    log = dir / "printed"
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=8:exitcode=99",
                   "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
    with open(log, "w") as out:
        process = subprocess.Popen([program, "run", *words, "--time", f"{seconds:.1f}s", "--no-corpus",
                                    "--seed", "1", "--out", str(dir / "out")], stdout=out, stderr=out,
                                   env=environment, start_new_session=True)
        samples = []
        while process.poll() is None:
            samples.append(resident(process.pid) / 2**20)
            time.sleep(1)
    return samples, process.returncode, log.read_text(errors="replace")


def growth(samples):
    """Of the median, from the second to the last quarter."""
    quarter = len(samples) // 4
    if quarter == 0:
        return 0.0
    return statistics.median(samples[-quarter:]) / statistics.median(samples[quarter:2 * quarter]) - 1


def draw(series):
    """The samples of all runs, one behind the other, as an SVG."""
    width, height, left, bottom = 960, 320, 60, 40
    total = max(1, sum(len(s) for s in series.values()))
    most = max([1.0, *(max(s, default=0) for s in series.values())]) * 1.1
    x = lambda k: left + (width - left - 10) * k / total
    y = lambda value: height - bottom - (height - bottom - 30) * value / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
           'font-size="11"><rect width="100%" height="100%" fill="white"/>']
    for k in range(5):
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(most * k / 4):.1f}" y2="{y(most * k / 4):.1f}" '
                   f'stroke="#ddd"/><text x="{left - 6}" y="{y(most * k / 4) + 4:.1f}" text-anchor="end">'
                   f'{most * k / 4:.0f} MiB</text>')
    at = 0
    for name, samples in series.items():
        points = " ".join(f"{x(at + k):.1f},{y(value):.1f}" for k, value in enumerate(samples))
        out.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="20" y2="{height - bottom}" stroke="#999"/>'
                   f'<text x="{x(at) + 4:.1f}" y="16">{name}</text>'
                   f'<polyline points="{points}" fill="none" stroke="#1769aa"/>')
        at += len(samples)
    out.append(f'<text x="{width - 10}" y="{height - 12}" text-anchor="end">{at} s</text></svg>')
    return "\n".join(out) + "\n"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/asan/attnfuzz")
    parser.add_argument("--time", default="30m")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("soak"))
    options = parser.parse_args(arguments)
    program = os.path.abspath(options.program)
    seconds = seconds_of(options.time) / len(RUNS)
    series, bad = {}, False
    for name, words in RUNS.items():
        dir = options.out / re.sub(r"\W+", "-", name)
        dir.mkdir(parents=True, exist_ok=True)
        samples, code, printed = run(program, words, seconds, dir)
        series[name] = samples
        cases = sum(map(int, re.findall(r": (\d+) cases in", printed)))
        reports = len(re.findall(r"ERROR: \w+Sanitizer|runtime error:", printed))
        grown = growth(samples)
        failed = code not in (0, 1) or reports > 0 or (grown > 0.1 and len(samples) >= 120)
        bad |= failed
        print(f"{name}: {cases} cases in {len(samples)} s, exit {code}, {reports} sanitizer reports, "
              f"at most {max(samples, default=0):.0f} MiB, grown by {100 * grown:.1f} %{' FAILED' if failed else ''}",
              flush=True)
    (options.out / "soak.csv").write_text("run;second;mib\n" + "".join(
        f"{name};{k};{value:.1f}\n" for name, samples in series.items() for k, value in enumerate(samples)))
    (options.out / "soak.svg").write_text(draw(series))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
