"""The pictures in the documentation show the dashboard as it is."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.web.conftest import Open
from tests.web.screenshots import IMAGES, LAYOUTS, ROOT, SHOTS, Shot, take

AGAIN = "make it again with `python -m tests.web.screenshots`, and look at it"
APART_PX = 2
"""Another release of the browser may round a place otherwise."""
DIFFERENT_MAX = 0.005
"""Of all pixels. Edges of letters differ between releases; what a text says, where, how large and in which colours is compared
exactly, by its layout."""
BYTES_MAX = 150_000

COMPARE = """async ([one, two]) => {
    const [a, b] = await Promise.all([one, two].map(async (data) => {
        const image = new Image();
        image.src = `data:image/png;base64,${data}`;
        await image.decode();
        const canvas = new OffscreenCanvas(image.width, image.height);
        const brush = canvas.getContext("2d");
        brush.drawImage(image, 0, 0);
        return brush.getImageData(0, 0, image.width, image.height);
    }));
    if (a.width !== b.width || a.height !== b.height) return 1;
    let different = 0;
    for (let at = 0; at < a.data.length; at += 4) {
        const [red, green, blue] = [0, 1, 2].map((colour) => Math.abs(a.data[at + colour] - b.data[at + colour]));
        if (Math.max(red, green, blue) > 24) different += 1;
    }
    return different / (a.width * a.height);
}"""
"""Which part of the pixels differs by more than a tenth of the range."""


async def difference(page: Page, one: Path, two: Path) -> float:
    return await page.evaluate(COMPARE, [base64.b64encode(path.read_bytes()).decode() for path in (one, two)])


def parts(line: str) -> tuple[list[int], str]:
    """Place and size, and all the rest."""
    found = re.match(r"(-?\d+) (-?\d+) (-?\d+) (-?\d+) (.*)", line)
    assert found is not None, line
    return [int(number) for number in found.groups()[:4]], found[5]


def differences(committed: list[str], made: list[str]) -> list[str]:
    """Lines of two layouts that do not stand for the same text at the same place."""
    one, two = [parts(line) for line in committed], [parts(line) for line in made]
    texts = [rest for _, rest in one], [rest for _, rest in two]
    if texts[0] != texts[1]:
        return [f"- {rest}" for rest in texts[0] if rest not in texts[1]] + [
            f"+ {rest}" for rest in texts[1] if rest not in texts[0]
        ] or ["the order of texts is another one"]
    return [
        f"{was} -> {now} {rest}"
        for (was, rest), (now, _) in zip(one, two, strict=True)
        if any(abs(before - after) > APART_PX for before, after in zip(was, now, strict=True))
    ]


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
async def test_a_picture_is_that_of_today(shot: Shot, address: str, browser: Browser, tmp_path: Path) -> None:
    """Every text with its place, size and colours, and nearly every pixel. With other fonts nothing can be said."""
    page = await take(browser, address, shot, tmp_path)
    (fonts, *committed), (here, *made) = (
        (directory / f"{shot.name}.txt").read_text().splitlines() for directory in (LAYOUTS, tmp_path)
    )
    if fonts != here:
        why = f"the fonts are not those of the pictures ({here} is not {fonts}): install them (on Debian: fonts-dejavu-core)"
        assert not os.environ.get("CI"), why
        pytest.skip(why)
    assert differences(committed, made) == [], AGAIN
    image = IMAGES / f"dashboard-{shot.name}.png"
    assert await difference(page, image, tmp_path / f"{shot.name}.png") < DIFFERENT_MAX, AGAIN
    assert image.stat().st_size < BYTES_MAX
    await page.context.close()


async def test_the_comparison_sees_what_matters(open_tab: Open, tmp_path: Path) -> None:
    """A moved text, another word, another colour, and a line that is gone."""
    assert differences(["1 2 3 4 13px red a"], ["3 2 3 4 13px red a"]) == []
    assert differences(["1 2 3 4 13px red a"], ["4 2 3 4 13px red a"])
    assert differences(["1 2 3 4 13px red a"], ["1 2 3 4 13px red b"]) == ["- 13px red a", "+ 13px red b"]
    assert differences(["1 2 3 4 13px red a"], ["1 2 3 4 13px blue a"])
    assert differences(["1 2 3 4 x a"], [])
    page = await open_tab("#/figures")
    await page.locator(".charts .chart:last-child svg").wait_for()
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    await page.screenshot(path=one)
    assert await difference(page, one, one) == 0
    await page.evaluate("document.querySelectorAll('.bar').forEach((bar) => bar.remove())")
    await page.screenshot(path=two)
    assert await difference(page, one, two) > DIFFERENT_MAX


def test_each_picture_is_shown_and_each_shown_is_made() -> None:
    """No picture without a text about it, and the other way round."""
    page = (ROOT / "docs" / "dashboard.md").read_text()
    shown = set(re.findall(r"images/dashboard-([\w-]+)\.png", page))
    assert (
        shown
        == {shot.name for shot in SHOTS}
        == {path.stem.removeprefix("dashboard-") for path in IMAGES.glob("dashboard-*.png")}
    )
