"""A widget in a real JupyterLab: it appears, and its sliders and its Python traits follow each other."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser

CELLS = [
    "from grokbook.widgets.subweights import Subweights\nwidget = Subweights()\nwidget",
    "from pathlib import Path\nPath('from_browser.txt').write_text(str(widget.config.kappa))",
    "widget.P_g = 4.0",
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab on a folder with one notebook, `play.ipynb`."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "play.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--port-retries=0"]
    command += ["--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={tmp_path}"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    settings = {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings")}
    settings |= {
        "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
    }
    with open(tmp_path / "lab.log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | settings, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api").close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


def test_a_slider_moves_a_trait_and_a_trait_a_slider(lab: str, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto(f"{lab}/lab/tree/play.ipynb")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(2).wait_for()
    kernel_is_idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    kernel_is_idle.wait_for(state="attached")

    asks = page.locator(".jp-Dialog .jp-mod-accept")

    def run(cell: int) -> None:
        """Run the cell; a key pressed before JupyterLab is ready for it is lost, so until its prompt has changed."""
        prompt = cells.nth(cell).locator(".jp-InputPrompt")
        before = prompt.inner_text()
        for _ in range(30):
            if asks.count():  # on a busy machine it asks for a kernel before the one it starts has answered
                asks.first.click()
            cells.nth(cell).locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
            for _ in range(10):
                page.wait_for_timeout(500)
                if prompt.inner_text() != before:
                    return kernel_is_idle.wait_for(state="attached")
        raise AssertionError(f"{CELLS[cell]!r} does not run:\n{page.inner_text('.jp-Notebook')}")

    explorer = page.get_by_role("group", name="Simulation of two circuits")
    run(0)
    explorer.wait_for()
    slider = explorer.get_by_role("slider", name="kappa")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    kappa = float(slider.get_attribute("aria-valuetext"))
    assert kappa == pytest.approx(1.4)

    # The front end holds a change back while the kernel still works on the one before; then a first reading is old.
    written = tmp_path / "from_browser.txt"
    for _ in range(10):
        run(1)
        if json.loads(written.read_text()) == kappa:
            break
    assert json.loads(written.read_text()) == kappa

    run(2)
    price = explorer.locator('input[data-trait="P_g"][aria-valuetext="4"]')
    price.wait_for()
    assert not explorer.get_by_role("switch", name="more efficient").is_checked()
    context.close()
