"""Chapter 04's widget in the built book, in Chromium, with no kernel and no other site (see the `page` fixture)."""

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

from grokbook.theory import cross_entropy, loss, optimal_weights


def shown_weights(widget: Locator) -> list[float]:
    return [float(weight) for weight in widget.get_attribute("data-weights").split()]


@pytest.fixture
def widget(page: Page, built_book: str) -> Locator:
    page.goto(f"{built_book}/04-theorem-d4.html", wait_until="load")
    widget = page.get_by_role("group", name="Which circuit gets the weight")
    widget.wait_for()
    return widget


def test_keyboard_moves_the_curves_and_the_optimum(page: Page, widget: Locator):
    assert shown_weights(widget) == pytest.approx(optimal_weights([0.8, 1], 1.2, 0.01), rel=1e-9)

    def curves():
        return [path.get_attribute("d") for path in widget.locator("path").all()]

    before = curves()
    slider = widget.get_by_role("slider", name="kappa")
    slider.focus()
    for _ in range(16):  # from 1.2 to 2.0 in steps of 0.05
        page.keyboard.press("ArrowRight")
    assert all(new != old for new, old in zip(curves(), before, strict=True))
    assert shown_weights(widget) == pytest.approx(optimal_weights([0.8, 1], 2.0, 0.01), rel=1e-9)
    assert shown_weights(widget)[1] == 0 and "boundary" in widget.inner_text()
    page.keyboard.press("ArrowRight")
    assert "winner takes all" in widget.inner_text()


def test_scale_of_the_losses(widget: Locator):
    total = sum(shown_weights(widget))
    weights = np.linspace([total, 0], [0, total], 201)
    losses = loss(weights, [0.8, 1], 1.2, 0.01, 2, cross_entropy(113))
    marks = [float(text) for text in widget.locator("svg").first.locator("text[text-anchor=end]").all_text_contents()]
    assert [mark for mark in marks if mark != 1] == pytest.approx([losses.min(), losses.max()], rel=5e-3)


def test_fits_a_phone_and_turns_dark(page: Page, widget: Locator):
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= 390
    assert "gb-dark" in widget.get_attribute("class")
    slider = widget.get_by_role("slider", name="PG / PM")
    slider.fill("0.5")  # log2 of the ratio
    assert shown_weights(widget) == pytest.approx(optimal_weights([2**0.5, 1], 1.2, 0.01), rel=1e-9)


def test_still_picture_stands_in_on_paper(page: Page, widget: Locator):
    still = page.locator("img.grokbook-still")
    assert not still.is_visible()
    page.emulate_media(media="print")
    assert still.is_visible() and not widget.is_visible()
    assert len(still.get_attribute("alt")) > 100
