"""The HTML report in a real Chromium: no message on the console, nothing wider than the window at 375 and 1440 pixels, every
finding reachable by keyboard, nothing serious for axe-core, and all of it without a network.

    tools/test_html.sh        makes the environment for it and runs this
"""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BINARY = Path(os.environ.get("ATTNFUZZ_BINARY_DIR", ROOT / "build/release")) / "attnfuzz"
CHROMIUM = os.environ.get("ATTNFUZZ_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SHOTS = os.environ.get("ATTNFUZZ_SCREENSHOTS")
TARGETS = ["specimen:llama4-chunked-eager", "specimen:sdpa-causal-top-left", "specimen:gla-cache-offset",
           "specimen:flash-window-off-by-one", "specimen:beam-reorder-skipped"]

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
if CHROMIUM is None:
    pytest.skip("needs chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A run with findings of each kind of page: an error, a mismatch with a meaning, a cache."""
    out = tmp_path_factory.mktemp("report")
    command = [BINARY, "run", "--seed", "1", "--cases", "60", "--no-corpus", "-q", "-o", out, "--format", "html"]
    for target in TARGETS:
        command += ["-t", target]
    assert subprocess.run(command).returncode == 1
    return (out / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def signatures(page) -> list[str]:
    return page.eval_on_selector_all("article", "all => all.map(a => a.id)")


def open_page(browser, report, width, dark=False):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light",
                            reduced_motion="reduce")
    page.messages = []
    page.on("console", lambda message: page.messages.append(message.text))
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or page.messages.append(request.url))
    page.goto(report)
    return page


@pytest.mark.parametrize("width", [375, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_each_page_fits_and_is_silent(browser, report, width, dark):
    page = open_page(browser, report, width, dark)
    for signature in ["", *signatures(page)]:
        page.goto(f"{report}#{signature}")
        shown = page.eval_on_selector_all("article", "all => all.filter(a => a.offsetParent).map(a => a.id)")
        assert shown == [signature] * bool(signature)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, signature
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{width}-{'dark' if dark else 'light'}-{signature or 'index'}.png", full_page=True)
    assert page.messages == []
    page.close()


def test_axe_finds_nothing_serious(browser, report):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    for dark in (False, True):
        page = open_page(browser, report, 1440, dark)
        for signature in ["", *signatures(page)]:
            page.goto(f"{report}#{signature}")
            wrong = [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]][:3])
                     for v in axe.run(page).response["violations"] if v["impact"] in ("serious", "critical")]
            assert wrong == [], signature
        page.close()


def test_keyboard_reaches_a_finding_and_copies_its_program(browser, report):
    page = open_page(browser, report, 1440)
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.tagName") == "A":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash && document.activeElement.closest('article')?.id === location.hash.slice(1)")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("article:target button").first.focus()
    page.keyboard.press("Enter")
    page.locator("article:target button", has_text="Copied").wait_for()
    assert "attnfuzz replay" in page.evaluate("navigator.clipboard.readText()")
    page.locator("article:target a", has_text="all findings").press("Enter")
    page.locator("#index").wait_for()
    assert page.messages == []
    page.close()


def test_works_without_scripts(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    page.locator("#index a").first.click()
    page.locator("article:target h2").wait_for()
    page.locator("#index").wait_for(state="hidden")
    context.close()
