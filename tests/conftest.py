"""Fixtures for tests of the rendered book: `built_book`, its address, and `page`, Chromium cut off from other sites."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from playwright.sync_api import Browser, Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

from browser import CHROMIUM, MISSING  # noqa: E402
from readers import pages_address  # noqa: E402

ADDRESS = pages_address(yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what opens a page as `browser`. With no Chromium, leave it out and say so; under CI, let it fail instead."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    if CHROMIUM or "CI" in os.environ:
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not CHROMIUM and "CI" not in os.environ:
        terminalreporter.section("rendered pages NOT TESTED", yellow=True, bold=True)
        terminalreporter.line(f"No page of the book was opened. {MISSING}")


@pytest.fixture(scope="session")
def html_folder() -> Path:
    """The folder of the built book, brought up to date first (nothing is executed again that has not changed)."""
    build = subprocess.run([sys.executable, ROOT / "book" / "build.py"], capture_output=True, text=True)
    assert build.returncode == 0, build.stdout + build.stderr
    return ROOT / "_build" / "html"


class Pages(SimpleHTTPRequestHandler):
    """A folder served as GitHub serves a project's pages: below the project's name, 404.html for what is not there."""

    prefix = urlsplit(ADDRESS).path

    def log_message(self, *args: object) -> None:
        pass

    def translate_path(self, path: str) -> str:
        return super().translate_path(f"/{path.removeprefix(self.prefix)}" if path.startswith(self.prefix) else "/none")

    def send_error(self, code: int, *args: object) -> None:
        self.error_message_format = Path(self.directory, "404.html").read_text().replace("%", "%%")
        super().send_error(code, *args)


@pytest.fixture(scope="session")
def built_book(html_folder: Path) -> Iterator[str]:
    """The address at which the built book is served, without the closing slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=str(html_folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{Pages.prefix.rstrip('/')}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail(MISSING)
    options = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    options += " --disable-component-update --disable-sync"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=options.split())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, built_book: str) -> Iterator[Page]:
    """A browser page on which every request that leaves the book's own address is refused and remembered.

    At the end of the test there must have been no such request, no console error and no exception in a script.
    """
    faults: list[str] = []

    def only_own(route: Route) -> None:
        if route.request.url.startswith(built_book + "/"):
            route.continue_()
        else:
            faults.append(f"request to {route.request.url}")
            route.abort()

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)  # a busy machine can take long over a page full of mathematics
    page = context.new_page()
    page.route("**/*", only_own)
    page.on("response", lambda answer: faults.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(f"exception: {error}"))
    yield page
    context.close()
    assert not faults, "\n".join(faults)
