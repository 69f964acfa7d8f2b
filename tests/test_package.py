"""What readers install: the wheel, the lists of dependencies, and the one public address."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from fresh import build_wheel, plain

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return set(zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))).namelist())


def test_wheel_carries_every_file_of_the_package(wheel: set[str]) -> None:
    """Colab has no checkout: recorded data and the widgets' scripts must be in the wheel."""
    wanted = {str(path.relative_to(ROOT)) for path in tracked("grokbook")}
    assert wanted <= wheel
    assert not {name for name in wheel if name.startswith(("tests", "book", "benchmarks"))}


def test_recorded_data_are_small() -> None:
    assert sum(path.stat().st_size for path in tracked("grokbook/data")) < 20e6


def test_conda_environment_repeats_nothing() -> None:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert [plain(entry) for entry in listed if isinstance(entry, str)] == ["python", "pip"]
    assert by_pip == ["-e .[book,test,cluster]"]


def test_every_direct_dependency_is_pinned_once_and_for_all_platforms() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert len(pins) == len(lines)
    assert not [version for version in pins.values() if "+" in version]
    extras = PROJECT["optional-dependencies"]
    direct = [*PROJECT["dependencies"], *extras["book"], *extras["test"], *extras["cluster"]]
    assert {plain(requirement) for requirement in direct} <= {plain(name) for name in pins}


def test_the_public_address_is_the_same_everywhere() -> None:
    """`make address` changes them all; nothing may name another place for this repository."""
    anywhere = re.compile(rf"https://github\.com/[\w.-]+/{re.escape(ADDRESS.rsplit('/', 1)[1])}(?![\w-])")
    found = [
        (path, address)
        for path in tracked("*.md", "*.toml", "*.cff", "*.yml", "*.ipynb")
        for address in anywhere.findall(path.read_text())
    ]
    assert {path.name for path, _ in found} >= {"_config.yml", "pyproject.toml", "CITATION.cff"}
    assert [(path.name, address) for path, address in found if address != ADDRESS] == []


def test_the_readme_opens_with_the_two_commands() -> None:
    screen = (ROOT / "README.md").read_text().splitlines()[:25]
    assert any("make book" in line for line in screen) and any("make test" in line for line in screen)


def test_modules_of_the_package_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "grokbook").rglob("*.py")}
    assert len(lengths) > 30 and {name: lines for name, lines in lengths.items() if lines >= 200} == {}


BESIDES = {
    "grokbook": {"dask", "matplotlib_inline"},  # sweeps, an extra, and a formatter that is asked for and may be missing
    "book": {"sphinx", "yaml", "playwright"},  # Jupyter Book is built on the first two; pages are printed by the last
    "tests": {"yaml"},
}
"""What a folder may import although the lists of its readers do not name it, and why."""
OFFERED = packages_distributions()
EXTRAS = {"grokbook": (), "book": ("book",), "tests": ("book", "test", "cluster")}


@pytest.mark.parametrize("folder", EXTRAS)
def test_every_import_is_declared(folder: str) -> None:
    ours = {"grokbook", *(file.stem for place in ("book", "tests") for file in (ROOT / place).glob("*.py"))}
    imported = set().union(*map(modules, (ROOT / folder).rglob("*.py"))) - ours - set(sys.stdlib_module_names)
    asked = [*PROJECT["dependencies"], *(line for extra in EXTRAS[folder] for line in optional(extra))]
    declared = {plain(line) for line in asked}
    undeclared = {name for name in imported if not {*map(plain, OFFERED.get(name, []))} & declared}
    assert undeclared == BESIDES[folder]


def modules(path: Path) -> set[str]:
    """The top-level modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def optional(extra: str) -> list[str]:
    return PROJECT["optional-dependencies"][extra]
