from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAMES = ("mesh", "pcm", "compared")
Visit = Callable[..., Any]


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_quiet_asks_for_nothing_and_fits(
    visit: Visit, pages: dict[str, Path], name: str, width: int, tmp_path: Path
) -> None:
    for theme in ("light", "dark"):
        opened = visit(name, width=width, color_scheme=theme)
        opened.page.screenshot(path=tmp_path / f"{name}-{width}-{theme}.png", full_page=True)
        assert opened.complaints == []
        own = pages[name].as_uri()
        assert opened.requests[0] == own
        assert all(url.startswith("data:image/") for url in opened.requests[1:])
        wide = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]


def test_the_policy_stops_what_the_page_did_not_bring(visit: Visit) -> None:
    opened = visit("mesh")
    opened.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "file:///nowhere.png";
            document.body.append(image);
        }"""
    )
    assert opened.page.evaluate("window.ran") is None
    assert len(opened.complaints) == 2 and all("Content Security Policy" in text for text in opened.complaints)


def column(page: Any, table: str, number: int) -> list[str]:
    cells: list[str] = page.locator(f"{table} tbody tr > :nth-child({number})").all_inner_texts()
    return [" ".join(cell.split()) for cell in cells]


LAYERS = '[aria-label="Layers"] table'


def test_a_table_sorts_by_click_by_number_and_not_by_text(visit: Visit) -> None:
    page = visit("mesh").page
    head = page.locator(f"{LAYERS} thead th").nth(5)
    before = column(page, LAYERS, 6)
    mzis = {"162": 162, "5 184": 5184, "9 720": 9720, "1 296": 1296}
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    rising = [cell.replace("\u202f", " ") for cell in column(page, LAYERS, 6)]
    assert [mzis[cell] for cell in rising[:4]] == sorted(mzis.values()) and rising[4:] == ["–", "–"]
    head.get_by_role("button").click()
    falling = [cell.replace("\u202f", " ") for cell in column(page, LAYERS, 6)]
    assert falling == [*reversed(rising[:4]), "–", "–"]
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None and column(page, LAYERS, 6) == before


def test_a_table_sorts_by_keyboard_and_one_column_at_a_time(visit: Visit) -> None:
    page = visit("mesh").page
    heads = page.locator(f"{LAYERS} thead th")
    heads.nth(0).get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert column(page, LAYERS, 1) == sorted(column(page, LAYERS, 1))
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert [head.get_attribute("aria-sort") for head in heads.all()][:2] == [None, "ascending"]
    assert column(page, LAYERS, 2) == sorted(column(page, LAYERS, 2))


@pytest.mark.parametrize("name", NAMES)
def test_every_table_with_rows_to_sort_can_be_sorted(visit: Visit, name: str) -> None:
    page = visit(name).page
    tables = page.evaluate(
        """() => [...document.querySelectorAll("table")].filter((table) => table.tBodies[0].rows.length > 1)
            .map((table) => [table.querySelectorAll("thead th").length, table.querySelectorAll(".sort").length])"""
    )
    assert tables and all(heads == buttons for heads, buttons in tables)


def background(page: Any) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def test_the_theme_follows_the_system_until_it_is_switched(visit: Visit) -> None:
    page = visit("mesh", color_scheme="light").page
    light = background(page)
    page.emulate_media(color_scheme="dark")
    dark = background(page)
    assert light != dark
    switch = page.locator("button.theme")
    assert switch.inner_text() == "Light theme"
    switch.click()
    assert background(page) == light and switch.inner_text() == "Dark theme"
    page.reload()
    assert background(page) == light
    page.locator("button.theme").click()
    page.reload()
    assert background(page) == dark
    page.emulate_media(color_scheme="light")
    assert background(page) == light  # what the system says is not kept as a choice


def test_the_theme_switches_where_nothing_can_be_stored(visit: Visit, pages: dict[str, Path]) -> None:
    opened = visit("mesh", color_scheme="light")
    refuse = 'Object.defineProperty(window, "localStorage", { get() { throw new DOMException("denied"); } });'
    opened.page.add_init_script(refuse)
    opened.page.reload()
    light = background(opened.page)
    opened.page.locator("button.theme").click()
    assert background(opened.page) != light and opened.complaints == []


def test_a_mark_shows_its_value_under_the_pointer(visit: Visit) -> None:
    page = visit("mesh").page
    tip = page.locator(".tip")
    assert tip.is_hidden()
    bar = page.locator('.mark[aria-label^="programmed: 11.1"]').first
    bar.scroll_into_view_if_needed()
    bar.hover()
    assert tip.is_visible() and tip.inner_text().replace("\u00a0", " ") == "programmed: 11.1 %"
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 1440
    page.mouse.move(2, 2)
    assert tip.is_hidden()


def test_marks_are_reached_by_keyboard_one_stop_a_plot(visit: Visit) -> None:
    page = visit("mesh").page
    plots = page.evaluate(
        """() => [...document.querySelectorAll(".plot")].filter((plot) => plot.querySelector(".mark"))
            .map((plot) => [plot.getAttribute("role"), plot.querySelectorAll('.mark[tabindex="0"]').length])"""
    )
    assert plots and all(plot == ["group", 1] for plot in plots)
    first = page.locator(".plot .mark").first
    first.focus()
    page.keyboard.press("ArrowDown")
    tip = page.locator(".tip")
    assert tip.inner_text().replace("\u00a0", " ") == "programmed: 11.1 %"
    page.keyboard.press("End")
    assert tip.inner_text().replace("\u00a0", " ") == "learned: 97.2 %"
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_a_tap_shows_a_value_on_a_phone(visit: Visit) -> None:
    page = visit("mesh", width=390, height=844, has_touch=True, is_mobile=True).page
    page.locator('.mark[aria-label^="learned: 97.2"]').first.tap()
    tip = page.locator(".tip")
    assert tip.inner_text().replace("\u00a0", " ") == "learned: 97.2 %"
    page.locator('.mark.point[aria-label^="training, epoch 9: "]').first.tap(force=True)
    assert "training, epoch 9: " in tip.inner_text()  # though the focus moves with the second tap
    page.locator("h1").tap()
    assert tip.is_hidden()


def test_points_of_a_curve_say_their_epoch(visit: Visit) -> None:
    page = visit("mesh").page
    labels = page.locator(".mark.point").evaluate_all("marks => marks.map((mark) => mark.getAttribute('aria-label'))")
    points = [label for label in labels if label.startswith("training, epoch ")]
    lines = [json.loads(line) for line in (Path(page.url[7:]).parent / "metrics.jsonl").read_text().splitlines()]
    assert len(points) == len(lines)
    first = re.fullmatch(r"training, epoch 1: ([\d.]+)", points[0])
    assert first is not None and float(first[1]) == pytest.approx(lines[0]["loss"], rel=0.01)


def test_points_upon_each_other_are_told_together(visit: Visit) -> None:
    page = visit("compared").page
    point = page.locator('.mark.point[aria-label^="A, epoch 2: "]').last
    other = page.locator('.mark.point[aria-label^="B, epoch 2: "]').last
    point.scroll_into_view_if_needed()
    one, two = point.bounding_box(), other.bounding_box()
    shift = (two["y"] - one["y"]) / 2
    page.mouse.move(one["x"] + one["width"] / 2, one["y"] + one["height"] / 2 + (shift if abs(shift) < 5 else 0))
    told = page.locator(".tip").inner_text().splitlines()
    assert any(line.startswith("A, epoch 2: ") for line in told)
    assert any(line.startswith("B, epoch 2: ") for line in told) == (abs(shift) < 5)


def test_paper_is_light_opens_everything_and_has_no_controls(visit: Visit) -> None:
    page = visit("mesh", color_scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    page.locator("main details[open]").first.wait_for(state="attached")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("details .inside").last.is_visible()
    assert all(not control.is_visible() for control in page.locator("nav, button.theme, button.copy").all())
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--surface').trim()") == "#ffffff"
    page.emulate_media(media="screen")
    page.locator("main details:not([open])").first.wait_for(state="attached")


def test_the_contents_lead_to_every_section_and_fold_on_a_phone(visit: Visit) -> None:
    page = visit("mesh").page
    headings = page.locator("main h2").all_inner_texts()
    assert page.locator("nav a").all_inner_texts() == headings and page.locator("nav a").last.is_visible()
    page.locator("nav a", has_text="Learning curves").click()
    assert page.url.endswith("#h-curves")
    page.locator('nav a[href="#h-curves"][aria-current]').wait_for()
    phone = visit("mesh", width=390).page
    assert not phone.locator("nav a").first.is_visible()
    phone.locator("nav summary").click()
    phone.locator("nav a").first.click()
    assert phone.url.endswith("#h-states") and not phone.locator("nav a").first.is_visible()


def test_the_keyboard_skips_to_the_content(visit: Visit) -> None:
    page = visit("mesh").page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")


def test_the_command_can_be_copied(visit: Visit) -> None:
    opened = visit("mesh", permissions=["clipboard-read", "clipboard-write"])
    opened.page.get_by_role("button", name="Copy").click()
    opened.page.get_by_role("button", name="Copied").wait_for()
    assert opened.page.evaluate("navigator.clipboard.readText()") == "lightloom run onchip/digits --seed 0"


@pytest.mark.parametrize("name", NAMES)
def test_without_scripts_everything_is_there(visit: Visit, name: str) -> None:
    opened = visit(name, java_script_enabled=False)
    assert opened.complaints == []
    assert opened.page.locator("button").count() == 0
    assert opened.page.locator(".plot .mark > title").count() > 5
    assert opened.page.locator("nav a").first.is_visible()
    assert opened.page.locator("main section").count() == opened.page.locator("nav a").count()


def test_plain_rules_of_access(visit: Visit) -> None:
    for name in NAMES:
        page = visit(name).page
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.locator("main").count() == page.locator("h1").count() == 1
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("img:not([alt]), svg.plot, button, a, nav, [role]")]
                .filter((part) => !(part.alt || part.getAttribute("aria-label") || part.textContent.trim())).length"""
        )
        assert nameless == 0
        handlers = page.evaluate(
            """() => [...document.querySelectorAll("*")]
                .filter((part) => part.getAttributeNames().some((attribute) => attribute.startsWith("on"))).length"""
        )
        assert handlers == 0
