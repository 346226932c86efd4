"""The documents: every link leads somewhere, and mkdocs builds the pages without a warning."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("targets/python/*.md"), *ROOT.glob("oracle/*.md")]


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", file.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    dead = [link for link in links if "://" not in link and not (file.parent / link.partition("#")[0]).exists()]
    assert not dead


def test_the_pages_build_without_a_warning(tmp_path):
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("skipped: no mkdocs (tools/install.sh --test installs it)")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "python.html").read_text()
    assert "<table>" in page and "tools/python_package/examples" in page


def test_the_hook_tells_a_dead_link(tmp_path):
    spec = importlib.util.spec_from_file_location("links", Path(__file__).with_name("links.py"))
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)

    class Page:
        class file:
            src_path = "python.md"

    config = {"docs_dir": str(ROOT / "docs")}
    assert links.on_page_markdown("[the README](../README.md)", Page, config) == "the README (`README.md`)"
    assert links.on_page_markdown("[README.md](../README.md#x) [a](b.md)", Page, config) == "`README.md` [a](b.md)"
    with pytest.raises(SystemExit, match="no such file"):
        links.on_page_markdown("[x](../nowhere.md)", Page, config)
