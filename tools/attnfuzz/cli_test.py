"""What the program says on a terminal, in a pipe, and of itself: colours, completion, manual page, installation."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ATTNFUZZ = os.environ["ATTNFUZZ"]
BUILD = os.environ["ATTNFUZZ_BINARY_DIR"]
ROOT = Path(__file__).resolve().parents[2]
CASE = ROOT / "corpus" / "transformers" / "beam-reorder-skipped.case.json"
RUN = ["run", "-t", "specimen:llama4-chunked-eager", "--no-corpus", "--seed", "1", "--out", "out"]


def attnfuzz(*arguments, **options):
    return subprocess.run([ATTNFUZZ, *arguments], capture_output=True, text=True, **options)


def on_a_terminal(cwd, *arguments, **variables):
    """What it prints on a terminal of 70 columns."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
        os.execve("/bin/sh", ["sh", "-c", 'stty cols 70; exec "$@"', "sh", ATTNFUZZ, *arguments],
                  environment | {"TERM": "xterm"} | variables)
    output, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        output += chunk
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode()


def test_colours_are_for_terminals(tmp_path):
    assert "\x1b" not in attnfuzz(*RUN, cwd=tmp_path).stdout
    code, output = on_a_terminal(tmp_path, *RUN, "--cases", "50")
    assert code == 1 and re.search(r"\x1b\[\d", output)
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, output = on_a_terminal(tmp_path, *RUN, "--cases", "50", **variables)
        assert not re.search(r"\x1b\[[\d;]*m", output) and "specimen:llama4" in output


def test_a_bar_on_a_terminal_keeps_to_its_width(tmp_path):
    code, output = on_a_terminal(tmp_path, "run", "-t", "cpu:naive", "--no-corpus", "--time", "4s", "--out", "out")
    assert code == 0
    bars = re.findall(r"\r\x1b\[2K(\[[=.]{20}\] [^\r\x1b]*)", output)
    assert bars and all(len(bar) < 70 for bar in bars), output
    shares = [int(re.search(r"(\d+)%", bar)[1]) for bar in bars]
    assert shares == sorted(shares) and shares[-1] <= 100


@pytest.mark.parametrize("shard", ["2/9223372036854775808", "1/99999999999999999999", "1/1048577", "1/-1", "-1/2", "0/2",
                                   "3/2", "1", "1/2x", " 1/2"])
def test_a_shard_that_is_none_is_bad_input(tmp_path, shard):
    done = attnfuzz(*RUN, "--cases", "1", f"--shard={shard}", cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and "\n" not in done.stderr.strip()
    assert f'--shard: expected i/n with 1 ≤ i ≤ n ≤ 1048576, found "{shard}"' in done.stderr


def test_the_last_of_the_most_shards_is_run(tmp_path):
    done = attnfuzz(*RUN, "--cases", "1", "--shard=1048576/1048576", "-j", "2", cwd=tmp_path, timeout=60)
    assert done.returncode == 0 and " 0 cases" in done.stdout


def complete(line):
    script = f'source <({ATTNFUZZ} completion bash); COMP_LINE="{line}"; COMP_POINT=${{#COMP_LINE}}; _attnfuzz; '
    done = subprocess.run(["bash", "-c", script + 'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True,
                          cwd=Path(__file__).parent)
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_options_and_targets():
    assert {"run", "replay", "targets", "completion"} <= set(complete("attnfuzz "))
    assert complete("attnfuzz rep") == ["replay", "report", "repro"]
    assert complete("attnfuzz run --sh") == ["--shard"]
    assert complete("attnfuzz run -t cpu:na") == ["naive"]  # bash takes the part behind the colon
    assert "cpu:naive" in complete("attnfuzz run -t cpu")
    assert complete("attnfuzz run --format s") == ["sarif"]
    assert complete("attnfuzz show cli_te") == ["cli_test.py"]
    assert complete("attnfuzz run --cases 1") == []
    assert complete("attnfuzz completion z") == ["zsh"]
    assert complete("attnfuzz corpus m")[:2] == ["min", "merge"]


def test_zsh_completion_names_every_command():
    script = attnfuzz("completion", "zsh").stdout
    assert script.startswith("#compdef attnfuzz\n")
    for command in ("run", "replay", "shrink", "show", "report", "causes"):
        assert f"      {command}) _arguments" in script


def zsh_completes(dir, line):
    """The line after a tab in an interactive zsh, and all that was on its terminal."""
    (dir / "_attnfuzz").write_text(attnfuzz("completion", "zsh").stdout)
    (dir / ".zshrc").write_text(f"PS1=\nfpath=({dir} $fpath)\nautoload -Uz compinit && compinit -u -D\n"
                                'line() { zle -I; print -r -- "LINE<$BUFFER>"; exit }\n'
                                'zle -N line\nbindkey "^O" line\nprint READY\n')
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(dir)
        os.execvpe("zsh", ["zsh", "-i"], os.environ | {"ZDOTDIR": str(dir), "TERM": "xterm"})
    output, typed, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end and b"LINE<" not in output.rpartition(b">")[0]:
        if select.select([fd], [], [], 1)[0]:
            try:
                output += os.read(fd, 65536)
            except OSError:
                break
        if not typed and b"READY" in output:
            os.write(fd, line.encode() + b"\t\x0f")
            typed = True
    os.close(fd)
    os.waitpid(pid, 0)
    found = re.search(rb"LINE<(.*?)>", output)
    assert found, output
    return found[1].decode().strip(), output.decode(errors="replace")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_zsh_completes_commands_options_and_targets(tmp_path):
    for typed, whole in (("attnfuzz comple", "attnfuzz completion"), ("attnfuzz run --sh", "attnfuzz run --shard"),
                         ("attnfuzz run -t cpu:na", "attnfuzz run -t cpu:naive"),
                         ("attnfuzz run --format s", "attnfuzz run --format sarif"),
                         ("attnfuzz completion z", "attnfuzz completion zsh"),
                         ("attnfuzz corpus s", "attnfuzz corpus stats")):
        assert zsh_completes(tmp_path, typed)[0] == whole
    line, listed = zsh_completes(tmp_path, "attnfuzz rep")
    assert line == "attnfuzz rep" and all(word in listed for word in ("replay", "report", "repro"))


def test_unknown_shell_is_wrong_usage():
    done = attnfuzz("completion", "fish")
    assert done.returncode == 2 and "bash" in done.stderr + done.stdout


def test_the_manual_page_tells_every_option():
    page = attnfuzz("man").stdout
    text = page.replace("\\-", "-")
    for command in ("run", "replay", "shrink", "show", "corpus min"):
        assert f".SS attnfuzz {command}\n" in text
        for flag in re.findall(r"(--[a-z-]+)", attnfuzz(*command.split(), "--help").stdout.partition("Options:")[2]):
            assert flag == "--help" or f"\\fB{flag}\\fR" in text, (command, flag)
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-z", "-Kutf8"], input=page, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_installed_program_finds_its_corpus_and_adapters(tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    subprocess.run(["cmake", "--install", BUILD, "--prefix", str(tmp_path / "usr"), "--component", "program"],
                   check=True, capture_output=True)
    usr = tmp_path / "usr"
    for file in ("share/man/man1/attnfuzz.1", "share/bash-completion/completions/attnfuzz",
                 "share/zsh/site-functions/_attnfuzz", "share/attnfuzz/include/targets/attnfuzz_target.h", "share/attnfuzz/targets/python/worker.py"):
        assert (usr / file).stat().st_size > 0, file
    assert not list((usr / "share").rglob("*_test.py"))
    environment = {k: v for k, v in os.environ.items() if k != "ATTNFUZZ_HOME"}
    done = subprocess.run([str(usr / "bin" / "attnfuzz"), "run", "-t", "cpu:naive", "--cases", "1", "--out", "out"],
                          cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and int(re.search(r"(\d+) cases in", done.stdout)[1]) > 10, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "Subcommands:"),
        (["rn"], "attnfuzz: command 'rn' is unknown; did you mean 'run'"),
        (["targets", "--jsn"], "argument '--jsn' is unknown; did you mean '--json'"),
        (["run"], "--target is required\nRun `attnfuzz run --help`"),
        (["run", "-t", "cpu:naive", "--cases", "-3"], '--cases: expected a whole number from 0 to 2^63 - 1, found "-3"'),
        (["run", "-t", "cpu:naive", "--cases", "many"], 'found "many"'),
        (["run", "-t", "cpu:naive", "--seed", "-1"], "--seed: expected a whole number"),
        (["run", "-t", "cpu:naive", "--seed", "9223372036854775808"], "--seed: expected a whole number"),
        (["run", "-t", "cpu:naive", "--corpus", "nowhere"], "nowhere: expected a folder of cases"),
        (["show", "case.json", "--head", "1.5"], "--head: expected a whole number"),
        (["triage", "/dev/null"], "/dev/null: expected an error's text, found nothing"),
        (["run", "-t", "cpu:naive", "--format", "pdf"], "--format"),
        (["run", "-t", "cpu:niave"], "did you mean 'cpu:naive'"),
        (["run", "-t", "cpu:naive", "--memory", "0"], "--memory: expected at least 16M, found 0 bytes"),
        (["corpus", "min", str(CASE.parent), "-o", "/dev/full"], "/dev/full: expected a folder that can be made"),
        (["replay", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_usage_tells_what_was_meant(arguments, words, tmp_path):
    done = attnfuzz(*arguments, cwd=tmp_path, timeout=30)
    assert done.returncode == 2 and words in done.stderr and not done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("errors", [subprocess.DEVNULL, subprocess.STDOUT])
def test_a_reader_that_goes_ends_it_quietly(errors):
    """As `attnfuzz causes 2>&1 | head -0` does."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([ATTNFUZZ, "causes"], stdout=write, stderr=write if errors == subprocess.STDOUT else errors)
    os.close(write)
    assert done.returncode == -signal.SIGPIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["causes"], ["show", CASE]])
def test_output_that_cannot_be_written_is_a_failure(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([ATTNFUZZ, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3 and "No space left on device" in done.stderr


def test_a_missing_plugin_is_named_once(tmp_path):
    for name in ("./none.so", "./none.so:tiled"):
        done = attnfuzz("run", "-t", name, cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count("none.so") == 1, done.stderr
        assert "expected a shared library: cannot open shared object file" in done.stderr


def test_a_repro_is_for_a_case_that_the_target_claims(tmp_path):
    done = attnfuzz("repro", CASE, "-t", "cpu:naive")
    assert done.returncode == 2 and "expected a case that cpu:naive claims" in done.stderr and not done.stdout
    assert attnfuzz("repro", CASE, "-t", "specimen:beam-reorder-skipped").stdout.startswith("#!/bin/sh\n")


def test_one_finding_is_not_findings(tmp_path):
    run = attnfuzz(*RUN, "--cases", "50", cwd=tmp_path)
    assert "\n1 finding; reports in out\n" in run.stdout
    assert attnfuzz("report", "out", cwd=tmp_path).stdout == "1 finding written to out\n"
    assert attnfuzz("merge", "out", "--out", "merged", cwd=tmp_path).stdout == "1 finding of 1 run in merged\n"


def test_relations_are_listed_checked_and_held(tmp_path):
    assert "split-step" in attnfuzz("relations").stdout
    unknown = attnfuzz("run", "-t", "cpu:naive", "--relations", "split-stp", cwd=tmp_path)
    assert unknown.returncode == 2 and "did you mean 'split-step'" in unknown.stderr
    right = attnfuzz("run", "-t", "cpu:linear-chunked", "--relations", "all", "--cases", "60", "--no-corpus", "--out", "out",
                     cwd=tmp_path)
    assert right.returncode == 0, right.stdout


def test_an_interrupted_run_reports_the_failures_that_wait(tmp_path):
    with subprocess.Popen([ATTNFUZZ, *RUN, "--time", "120s", "--jobs", "2", "-q"], cwd=tmp_path, stderr=subprocess.PIPE,
                          text=True) as run:
        time.sleep(2)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=100)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["interrupted"] and "interrupted after" in errors
    assert "once more stops at once" in errors
    assert run.returncode == (1 if summary["targets"][0]["failed"] else 130)
    assert run.returncode == (1 if summary["findings"] else 130)


def test_a_run_in_which_everything_is_declined_is_told(tmp_path):
    (tmp_path / "declines.py").write_text(
        "from attnfuzz_worker import Declined\n\nREQUIRES = []\n\n\nclass Target:\n"
        "    name, version = 'declines:all', '1'\n    capabilities = {'features': ['dtype:f32', 'layout:bhsd']}\n\n"
        "    def run(self, case, tensors):\n        raise Declined('not today')\n\n\ndef targets():\n    return [Target()]\n")
    done = attnfuzz("run", "-t", "declines:all", "--cases", "3", "--no-corpus", "--out", "out", cwd=tmp_path,
                    env=os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)})
    assert done.returncode == 3, done.stderr
    assert "every case was declined: nothing was tested" in done.stderr and "this is no pass" in done.stderr


def test_replay_finds_what_differs_from_run_to_run(tmp_path):
    (tmp_path / "flips.py").write_text(
        "import numpy as np\n\nREQUIRES = []\n\n\nclass Target:\n"
        "    name, version, calls = 'flips:out', '1', 0\n    capabilities = {'features': ['dtype:f32', 'layout:bhsd']}\n\n"
        "    def run(self, case, tensors):\n        self.calls += 1\n"
        "        return [{'out': tensors['v'] * np.float32(1 + self.calls % 2 * 2.0**-23)}]\n\n\n"
        "def targets():\n    return [Target()]\n")
    case = json.loads(CASE.read_text())
    problem = case["problem"] | {"batch": 1, "num_heads": 1, "num_kv_heads": 1, "q_len": 1, "kv_len": 1, "head_dim": 1,
                                 "head_dim_v": 1, "mask": {"align": "top_left", "rules": []}}
    (tmp_path / "one.case.json").write_text(json.dumps({"attnfuzz": 1, "problem": problem, "data": case["data"]}))
    done = attnfuzz("replay", "one.case.json", "-t", "flips:out", cwd=tmp_path,
                    env=os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)})
    assert done.returncode == 1 and "different outputs for the same input" in done.stdout, done.stdout + done.stderr


def test_an_interrupt_is_no_pass_and_a_second_one_stops_at_once(tmp_path):
    (tmp_path / "sleeps.py").write_text(
        "import time\n\nREQUIRES = []\n\n\nclass Target:\n"
        "    name, version = 'sleeps:all', '1'\n    capabilities = {'features': ['dtype:f32', 'layout:bhsd']}\n\n"
        "    def run(self, case, tensors):\n        time.sleep(12)\n        return [{'out': tensors['v']}]\n\n\n"
        "def targets():\n    return [Target()]\n")
    for signals, code in ((1, 130), (2, -signal.SIGINT)):
        with subprocess.Popen([ATTNFUZZ, "ci", "-t", "sleeps:all", "--budget", "100s", "--base", str(tmp_path), "--out", "out"],
                              cwd=tmp_path, env=os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)}, stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as run:
            time.sleep(6)
            for _ in range(signals):
                run.send_signal(signal.SIGINT)
                time.sleep(0.2)
            out, errors = run.communicate(timeout=100)
        assert run.returncode == code, (out, errors)
        assert "once more stops at once" in errors and ("this is no pass" in errors) == (signals == 1)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_second_interrupt_of_a_run_writes_what_was_found(tmp_path, jobs):
    """The target is wrong for some calls and then hangs, in each new process again: no finding is shrunk to its end."""
    (tmp_path / "hangs.py").write_text(
        "import pathlib\nimport time\n\nimport numpy as np\n\nREQUIRES = ['numpy']\n\n\nclass Target:\n"
        "    name, version, calls = 'hangs:late', '1', 0\n    capabilities = {'features': ['dtype:f32', 'layout:bhsd']}\n\n"
        "    def run(self, case, tensors):\n        self.calls += 1\n        if self.calls > 9:\n"
        "            pathlib.Path('hangs').touch()\n            time.sleep(1000)\n"
        "        return [{'out': np.zeros_like(tensors['v'])}]\n\n\ndef targets():\n    return [Target()]\n")
    with subprocess.Popen([ATTNFUZZ, "run", "-t", "hangs:late", "--no-corpus", "--time", "900s", "--timeout", "900s", "--jobs", jobs,
                           "--out", "out"], cwd=tmp_path, env=os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)},
                          stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        until = time.monotonic() + 60
        while not (tmp_path / "hangs").exists() and time.monotonic() < until:
            time.sleep(0.05)
        for _ in range(2):
            time.sleep(0.5)
            run.send_signal(signal.SIGINT)
        out, errors = run.communicate(timeout=60)
    assert run.returncode == 1 and "giving up the case at hand" in errors, out + errors
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["interrupted"] and summary["targets"][0]["failed"] >= 1 and summary["findings"]


def test_no_case_is_no_pass(tmp_path):
    done = attnfuzz("run", "-t", "cpu:naive", "--cases", "0", "--no-corpus", "--out", "out", cwd=tmp_path)
    assert done.returncode == 3 and "nothing was tested: this is no pass" in done.stderr


def test_a_corpus_that_cannot_be_read_is_bad_input(tmp_path):
    (tmp_path / "cases" / "closed").mkdir(parents=True)
    (tmp_path / "cases" / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    assert attnfuzz("run", "-t", "cpu:naive", "--corpus", "file", cwd=tmp_path).returncode == 2
    if os.geteuid() != 0:  # who may read all
        (tmp_path / "cases" / "closed").chmod(0)
        done = attnfuzz("run", "-t", "cpu:naive", "--corpus", "cases", cwd=tmp_path)
        assert done.returncode == 2 and "expected a folder that can be read" in done.stderr


def test_findings_of_an_earlier_run_are_set_aside(tmp_path):
    first = attnfuzz(*RUN, "--cases", "50", cwd=tmp_path)
    names = {file.name for file in (tmp_path / "out" / "findings").iterdir()}
    assert first.returncode == 1 and names and not (tmp_path / "out" / "findings.before").exists()
    second = attnfuzz("run", "-t", "fixed:llama4-chunked-eager", "--no-corpus", "--cases", "5", "--out", "out", cwd=tmp_path)
    assert second.returncode == 0 and "findings.before" in second.stdout
    assert not list((tmp_path / "out" / "findings").iterdir())
    assert {file.name for file in (tmp_path / "out" / "findings.before").iterdir()} == names


def test_exit_zero(tmp_path):
    attnfuzz(*RUN, "--cases", "50", cwd=tmp_path)
    case = next((tmp_path / "out" / "findings").glob("*/case.json"))
    assert attnfuzz("report", "out", cwd=tmp_path).returncode == 1
    assert attnfuzz("report", "out", "--exit-zero", cwd=tmp_path).returncode == 0
    issue = ("issue", case, "-t", "specimen:llama4-chunked-eager", "--max-tries", "0")
    assert [attnfuzz(*issue, *more).returncode for more in ([], ["--exit-zero"])] == [1, 0]


def test_a_repro_of_what_passes_says_so(tmp_path):
    attnfuzz(*RUN, "--cases", "50", cwd=tmp_path)
    case = next((tmp_path / "out" / "findings").glob("*/case.json"))
    assert "passes on" not in attnfuzz("repro", case, "-t", "specimen:llama4-chunked-eager").stderr
    assert "passes on fixed:llama4-chunked-eager" in attnfuzz("repro", case, "-t", "fixed:llama4-chunked-eager").stderr


@pytest.mark.parametrize("kind", ["adapter", "cache", "plugin", "pytest", "ci"])
def test_a_starting_point_runs_as_it_is(tmp_path, kind):
    done = attnfuzz("new", kind, "my_kernel", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert attnfuzz("new", kind, "my_kernel", cwd=tmp_path).returncode == 2  # it is there
    run = ["run", "--cases", "40", "--no-corpus", "--out", "out", "-t"]
    environment = os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)}
    if kind in ("adapter", "cache"):
        name = "my-kernel:attention" if kind == "adapter" else "my-kernel:cache"
        done = attnfuzz(*run, name, cwd=tmp_path, env=environment)
    elif kind == "plugin":
        include = attnfuzz("include").stdout.strip()
        subprocess.run(["c++", "-shared", "-fPIC", "-I", include, "my_kernel.cpp", "-o", "my_kernel.so"], cwd=tmp_path,
                       check=True)
        done = attnfuzz(*run, "./my_kernel.so", cwd=tmp_path)
    elif kind == "pytest":
        compile((tmp_path / "test_my_kernel.py").read_text(), "test_my_kernel.py", "exec")
    else:
        assert "attnfuzz ci" in (tmp_path / ".github" / "workflows" / "my_kernel.yml").read_text()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_name_that_is_none_gets_no_file(tmp_path):
    done = attnfuzz("new", "plugin", "../x", cwd=tmp_path)
    assert done.returncode == 2 and "expected letters, digits and underscores" in done.stderr


def test_a_cache_without_steps_is_told(tmp_path):
    (tmp_path / "stuck.py").write_text(
        "REQUIRES = []\n\n\nclass Target:\n    name, version = 'stuck:cache', '1'\n"
        "    capabilities = {'sizes': {'steps': [1, 3]}, 'features': ['dtype:f32', 'layout:bhsd', 'cache:dynamic']}\n\n\n"
        "def targets():\n    return [Target()]\n")
    done = attnfuzz("run", "-t", "stuck:cache", "--no-corpus", "--out", "out", cwd=tmp_path,
                    env=os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)})
    assert done.returncode == 2 and "step:prefill, step:append and step:decode beside cache:dynamic" in done.stderr


def test_a_python_packages_report_names_its_versions(tmp_path):
    (tmp_path / "zero.py").write_text(
        "REQUIRES = []\n\n\nclass Target:\n    name, version = 'zero:out', '1'\n"
        "    capabilities = {'features': ['dtype:f32', 'layout:bhsd']}\n\n"
        "    def run(self, case, tensors):\n        return [{'out': tensors['v'] * 0}]\n\n\n"
        "def targets():\n    return [Target()]\n")
    done = attnfuzz("run", "-t", "zero:out", "--cases", "5", "--no-corpus", "--out", "out", cwd=tmp_path,
                    env=os.environ | {"ATTNFUZZ_ADAPTERS": str(tmp_path)})
    assert done.returncode == 1, done.stderr
    report = next((tmp_path / "out" / "findings").glob("*/report.md")).read_text()
    assert "Python 3." in report and "NumPy " in report and "built with" not in report


@pytest.mark.skipif(not (Path(BUILD) / "python" / "attnfuzz").exists(), reason="the Python package is not built")
def test_a_python_function_is_a_target_too(tmp_path):
    (tmp_path / "kernel.py").write_text(
        "import numpy as np\n\ndef wrong(q, k, v):\n    s = np.exp(q @ k.swapaxes(-1, -2))\n"
        "    return s / s.sum(-1, keepdims=True) @ v\n")
    done = attnfuzz("run", "-t", "python:kernel:wrong", "--cases", "20", "--no-corpus", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1 and "python:kernel:wrong gives a wrong output" in done.stdout, done.stderr
    report = next((tmp_path / "out" / "findings").glob("*/report.md")).read_text()
    assert "As a script: `repro.py`" in report
    done = attnfuzz("check", "kernel:wrong", "--cases", "20", cwd=tmp_path)
    assert done.returncode == 1 and "ran       in a worker process" in done.stdout, done.stderr
    done = attnfuzz("run", "-t", "python:kernel:nothing", "--no-corpus", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2 and "nothing" in done.stderr
