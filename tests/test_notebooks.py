"""The conventions every chapter keeps (CONTRIBUTING.md), read from the notebooks as they are committed."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book"))

from build import toc_files  # noqa: E402

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if re.match(r"\d\d-", path.name)]
INSTALL = f"""\
try:
    import grokbook
except ModuleNotFoundError:  # Colab, or any bare runtime
    %pip install --quiet "grokbook @ git+{CONFIG["repository"]["url"]}\""""
PARAMETERS = 'scale = "live"  # or "small", "paper": larger runs, on pages that train any'

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def text(path: Path) -> str:
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def test_table_of_contents_and_files_agree() -> None:
    listed = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text()))
    assert Counter(listed).most_common(1)[0][1] == 1
    assert set(listed) == {path.stem for path in (ROOT / "book").iterdir() if path.suffix in (".ipynb", ".md")}
    chapters = [name for name in listed if re.match(r"\d\d-", name)]
    assert chapters == sorted(chapters)


@each_notebook
def test_is_valid_and_for_python(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"


@each_notebook
def test_carries_no_stray_outputs(path: Path) -> None:
    for cell in cells(path, "code"):
        assert cell.execution_count is None, cell.source
        if "keep_output" in tags(cell):
            assert cell.outputs, f"a cell tagged keep_output has none:\n{cell.source}"
            assert {output.output_type for output in cell.outputs} <= {"stream", "execute_result", "display_data"}
        else:
            assert not cell.outputs, cell.source


@each_notebook
def test_opens_with_its_title(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert len(re.findall(r"^# ", re.sub(r"(?s)```.*?```", "", text(path)), flags=re.M)) == 1


@each_notebook
def test_installs_itself_from_the_address_in_the_configuration(path: Path) -> None:
    code = cells(path, "code")
    if code:
        assert code[0].source == INSTALL
        assert {"install", "remove-cell"} <= set(tags(code[0]))


@each_notebook
def test_scale_is_a_parameter(path: Path) -> None:
    code = cells(path, "code")
    assert code[1].source == PARAMETERS
    assert "parameters" in tags(code[1])
    assert sum("parameters" in tags(cell) for cell in code) == 1


@each_chapter
def test_says_what_it_gives_and_costs(path: Path) -> None:
    box = re.search(r"(?s)(:{3,})\{admonition\} Before you start\n:class: tip\n(.*?)\n\1(?!:)", text(path))
    assert box
    for label in ("You will be able to", "Read first", "Cost"):
        assert re.search(rf"^\*\*{label}\*\*", box[2], flags=re.M), label
    assert re.search(r"^## Further reading", text(path), flags=re.M)


@each_chapter
def test_every_exercise_is_graded_and_solved(path: Path) -> None:
    exercises = re.findall(r":{3,}\{exercise\}[^\n]*\n(.*?)\n:::", text(path), flags=re.S)
    labels = [label for body in exercises for label in re.findall(r":label: (\S+)", body)]
    assert len(labels) == len(exercises) >= 2
    solved = re.findall(r":{3,}\{solution\} (\S+)\s*\n:class: dropdown", text(path))
    assert sorted(solved) == sorted(labels)
    for body in exercises:
        assert "★" in body and "minutes" in body, body


@each_notebook
def test_every_figure_has_a_caption_and_says_what_it_shows(path: Path) -> None:
    for cell in cells(path, "code"):
        draws = re.search(r"^(fig|figure)$|plt\.show\(\)", cell.source, flags=re.M)
        if draws or "figure" in cell.metadata.get("mystnb", {}):
            about = cell.metadata.get("mystnb", {})
            assert about.get("figure", {}).get("name", "").startswith("fig-"), cell.source
            assert len(about["figure"].get("caption", "")) > 20, cell.source
            assert len(about.get("image", {}).get("alt", "")) > 20, cell.source
            assert about["image"].get("width") == "100%", cell.source  # the theme fits and links only these


RECORDED = [path for path in NOTEBOOKS if re.match(r"(01|02|07|08|09|10|11|12|13|14)-|intro", path.name)]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_figures_from_recorded_runs_lead_to_where_they_are_from(path: Path) -> None:
    cells, label = nbformat.read(path, 4).cells, f"runs-{path.stem[:2] if path.stem != 'intro' else 'intro'}"
    captions = [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in cells]
    ours = [caption for caption in captions if re.search(r"recorded|[Oo]ur .*runs", caption)]
    assert ours and all(f"<{label}>" in caption for caption in ours), "a caption does not link to the runs"
    place = next(k for k, cell in enumerate(cells) if f"({label})=" in cell.source)
    told = next(cell for cell in cells[place:] if cell.cell_type == "code")
    assert "sources(" in told.source


@each_notebook
def test_is_spelt_right(path: Path, tmp_path: Path) -> None:
    """Prose, code, captions and alternative texts, by codespell's list of common mistakes."""
    notebook = nbformat.read(path, as_version=4)
    about = [cell.metadata.get("mystnb", {}) for cell in notebook.cells]
    words = [cell.source for cell in notebook.cells] + [json.dumps(each, ensure_ascii=False) for each in about]
    (tmp_path / "words.md").write_text("\n\n".join(words))
    command = [Path(sys.executable).with_name("codespell"), "--toml", ROOT / "pyproject.toml", "words.md"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_names_of_glued_numbers_figures_and_exercises_are_unique() -> None:
    names: list[str] = []
    for path in NOTEBOOKS:
        for cell in cells(path, "code"):
            names += re.findall(r"""\bglue\(\s*f?["']([^"'{]+)["']""", cell.source)
            names += [cell.metadata.get("mystnb", {}).get("figure", {}).get("name", f"none in {path.stem} {cell.id}")]
        names += re.findall(r":label: (\S+)", text(path))
    assert [name for name, times in Counter(names).items() if times > 1] == []


@each_chapter
def test_quotes_only_numbers_it_glues(path: Path) -> None:
    glued = [pattern for cell in cells(path, "code") for pattern in glued_in(cell.source)]
    for name in re.findall(r"\{glue:text\}`([^`:]+)", text(path)):
        assert any(re.fullmatch(pattern, name) for pattern in glued), f"{name} is quoted and never glued"


@each_chapter
def test_glues_only_numbers_it_quotes(path: Path) -> None:
    """A name put together when the cell runs stands for many: one of them at least is quoted."""
    quoted = re.findall(r"\{glue:[a-z]+\}`([^`:]+)", text(path))
    for cell in cells(path, "code"):
        for pattern in glued_in(cell.source):
            assert any(re.fullmatch(pattern, each) for each in quoted), f"{pattern} is glued and never quoted"


def glued_in(source: str) -> list[str]:
    """For each call of `glue`, or of a chapter's own function named after it, a regular expression of the names."""
    calls = [
        call for call in ast.walk(ast.parse(TransformerManager().transform_cell(source))) if isinstance(call, ast.Call)
    ]
    return [names_of(call.args[0]) for call in calls if isinstance(call.func, ast.Name) and call.func.id == "glue"]


def names_of(expression: ast.expr) -> str:
    """A regular expression of the strings that it can be."""
    if isinstance(expression, ast.Constant):
        return re.escape(str(expression.value))
    if isinstance(expression, ast.JoinedStr):
        return "".join(map(names_of, expression.values))
    if isinstance(expression, ast.BinOp):
        return names_of(expression.left) + names_of(expression.right)
    return ".*"
