"""The page of paths: its minutes are those of the exercises, its sums are right, its map knows every chapter."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml

from grokbook.claims import CLAIMS

BOOK = Path(__file__).resolve().parent.parent / "book"
PAGE = nbformat.read(BOOK / "paths.ipynb", as_version=4)
TEXT = "\n".join(cell.source for cell in PAGE.cells if cell.cell_type == "markdown")
CODE = "\n".join(cell.source for cell in PAGE.cells if cell.cell_type == "code")
TABLES = re.findall(r"\| page \| for .*?\n\| --- .*?\n(.*?)\n\| \| together \| (\d+) \| (\d+) \|", TEXT, flags=re.S)
ROW = re.compile(r"\| (?:\d+ )?\[\]\(([\w-]+)\.ipynb\) \| [^|]* \| (\d+) \| ([^|]*) \|")


def markdown(name: str) -> str:
    cells = nbformat.read(BOOK / f"{name}.ipynb", as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def minutes_of_exercises(name: str) -> dict[str, int]:
    return {label: int(time) for label, time in re.findall(r":label: (ex-\S+)\n+★+\W*(\d+) minutes", markdown(name))}


def test_there_is_a_path_of_half_a_day_and_one_of_two_days() -> None:
    assert len(TABLES) == 3
    hours = [(int(reading) + int(exercises)) / 60 for _, reading, exercises in TABLES]
    assert hours[0] <= 4
    assert all(4 <= day <= 8.5 for day in hours[1:])


@pytest.mark.parametrize("table", TABLES, ids=["half a day", "day one", "day two"])
def test_exercises_exist_and_take_the_minutes_given(table: tuple[str, str, str]) -> None:
    rows, reading, exercises = table
    found = ROW.findall(rows)
    assert len(found) == len(rows.splitlines())
    total = 0
    for name, _, listed in found:
        known = minutes_of_exercises(name)
        for label, minutes in re.findall(r"\{ref\}`([\w-]+)` \((\d+)\)", listed):
            assert known[label] == int(minutes), f"{label} takes {known[label]} minutes"
            total += int(minutes)
    assert sum(int(minutes) for _, minutes, _ in found) == int(reading)
    assert total == int(exercises)


def test_two_days_hold_every_chapter() -> None:
    toc = (BOOK.parent / "_toc.yml").read_text()
    chapters = {name for name in re.findall(r"^ +- file: (\d\d-\S+)", toc, flags=re.M)}
    assert chapters <= {name for rows, _, _ in TABLES[1:] for name, _, _ in ROW.findall(rows)}


def test_the_map_knows_the_chapters_of_all_claims_and_what_they_say_to_read_first() -> None:
    scope: dict = {}
    exec(re.search(r"BUILDS_ON = \{.*?\n\}", CODE, flags=re.S).group(), scope)
    builds_on = scope["BUILDS_ON"]
    assert {claim.chapter[:2] for claim in CLAIMS.values()} <= set(builds_on)
    for path in BOOK.glob("[0-9][0-9]-*.ipynb"):
        first = re.search(r"\*\*Read first\*\*(.*?)(\n\n|$)", markdown(path.stem), flags=re.S)
        named = set(re.findall(r"\[\]\((\d\d)-", first.group(1))) if first else set()
        if builds_on[path.stem[:2]] != "all":
            assert named <= set(builds_on[path.stem[:2]].split(", ")), path.stem


def test_every_page_is_listed_once_in_the_contents() -> None:
    names = yaml.safe_load((BOOK.parent / "_toc.yml").read_text())
    assert str(names).count("'paths'") == str(names).count("'notation'") == 1
