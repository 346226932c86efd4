"""What the program says on a terminal, in a pipe, and of itself: colours, completion, manual page, installation."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ATTNFUZZ = os.environ["ATTNFUZZ"]
BUILD = os.environ["ATTNFUZZ_BINARY_DIR"]
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
    code, output = on_a_terminal(tmp_path, "run", "-t", "cpu:naive", "--no-corpus", "--time", "1s", "--out", "out")
    assert code == 0
    bars = re.findall(r"\r\x1b\[2K(\[[=.]{20}\] [^\r\x1b]*)", output)
    assert bars and all(len(bar) < 70 for bar in bars), output
    shares = [int(re.search(r"(\d+)%", bar)[1]) for bar in bars]
    assert shares == sorted(shares) and shares[-1] <= 100


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


def test_zsh_completion_names_every_command():
    script = attnfuzz("completion", "zsh").stdout
    assert script.startswith("#compdef attnfuzz\n")
    for command in ("run", "replay", "shrink", "show", "report", "causes"):
        assert f"      {command}) _arguments" in script
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n"], input=script, text=True, check=True)


def test_unknown_shell_is_wrong_usage():
    done = attnfuzz("completion", "fish")
    assert done.returncode == 2 and "bash" in done.stderr + done.stdout


def test_the_manual_page_tells_every_option():
    page = attnfuzz("man").stdout
    text = page.replace("\\-", "-")
    for command in ("run", "replay", "shrink", "show"):
        assert f".SS attnfuzz {command}\n" in text
        for flag in re.findall(r"(--[a-z-]+)", attnfuzz(command, "--help").stdout.partition("Options:")[2]):
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
                 "share/zsh/site-functions/_attnfuzz", "include/attnfuzz_target.h", "share/attnfuzz/targets/python/worker.py"):
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
        (["run", "-t", "cpu:naive", "--cases", "-3"], "--cases"),
        (["run", "-t", "cpu:naive", "--seed", "-1"], "--seed"),
        (["run", "-t", "cpu:naive", "--format", "pdf"], "--format"),
        (["run", "-t", "cpu:niave"], "did you mean 'cpu:naive'"),
        (["replay", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_usage_tells_what_was_meant(arguments, words, tmp_path):
    done = attnfuzz(*arguments, cwd=tmp_path, timeout=30)
    assert done.returncode == 2 and words in done.stderr and not done.stdout
    assert not list(tmp_path.iterdir())


def test_relations_are_listed_checked_and_held(tmp_path):
    assert "split-step" in attnfuzz("relations").stdout
    unknown = attnfuzz("run", "-t", "cpu:naive", "--relations", "split-stp", cwd=tmp_path)
    assert unknown.returncode == 2 and "did you mean 'split-step'" in unknown.stderr
    right = attnfuzz("run", "-t", "cpu:linear-chunked", "--relations", "all", "--cases", "60", "--no-corpus", "--out", "out",
                     cwd=tmp_path)
    assert right.returncode == 0, right.stdout
