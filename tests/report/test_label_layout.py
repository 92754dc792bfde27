from __future__ import annotations

import numpy as np
import pytest

from lightloom.report.plots.label_layout import Box, arrange, number_marks, runs
from lightloom.report.svg import drawing

LEFT, RIGHT = 30.0, 300.0


def test_numbers_in_a_row_are_one_run() -> None:
    assert runs([4]) == "4"
    assert runs([1, 2]) == "1, 2"
    assert runs([1, 2, 7, 8, 9, 12]) == "1, 2, 7–9, 12"


def test_boxes_meet_where_they_have_an_area_in_common() -> None:
    box = Box(0, 0, 10, 10)
    assert box.meets(Box(9, 9, 20, 20)) and box.meets(Box(4, 4, 5, 5))
    assert not box.meets(Box(10, 0, 20, 10)) and not box.meets(Box(0, 11, 10, 20))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [3.0, 30.0, 120.0])
def test_no_label_meets_another_or_a_mark_of_another(seed: int, spread: float) -> None:
    draw = np.random.default_rng(seed)
    places = np.clip(draw.normal((160, 100), spread, (16, 2)), (LEFT, 0), (RIGHT, 200))
    numbered = {number: (float(x), float(y)) for number, (x, y) in enumerate(places, 1)}
    labels = arrange(numbered, [], LEFT, RIGHT)
    assert sorted(number for label in labels for number in label.numbers) == list(range(1, 17))
    for place, label in enumerate(labels):
        assert label.box.left >= LEFT and label.box.right <= RIGHT + 1e-9
        assert not label.box.hits(other.box for other in labels[place + 1 :])
        middles = [numbered[number] for number in numbered if number not in label.numbers]
        assert not any(label.box.meets(Box(x - 1, y - 1, x + 1, y + 1)) for x, y in middles)


def test_marks_far_apart_have_a_label_each_above_them() -> None:
    labels = arrange({1: (60.0, 50.0), 2: (120.0, 50.0)}, [], LEFT, RIGHT)
    assert [label.numbers for label in labels] == [(1,), (2,)]
    assert all(
        label.box.low > 50 and label.box.left < x < label.box.right for label, x in zip(labels, (60, 120), strict=True)
    )


def test_marks_on_each_other_share_one() -> None:
    (label,) = arrange({1: (60.0, 50.0), 2: (61.0, 50.0), 3: (60.0, 51.0)}, [], LEFT, RIGHT)
    assert label.numbers == (1, 2, 3)


def test_a_label_turns_from_a_mark_without_a_number() -> None:
    (label,) = arrange({1: (60.0, 50.0)}, [(60.0, 60.0)], LEFT, RIGHT)
    assert label.box.high < 50


def test_labels_are_written_where_they_were_arranged() -> None:
    from matplotlib.figure import Figure

    with drawing():
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.set(xlim=(1, 1000), ylim=(0, 1), xscale="log")
        labels = number_marks(axes, [(1, 10.0, 0.5), (2, 10.01, 0.5), (3, 900.0, 0.9)], [(10.0, 0.1)])
        assert sorted(text.get_text() for text in axes.texts) == ["1, 2", "3"]
        figure.draw_without_rendering()
        for text, label in zip(axes.texts, labels, strict=True):
            extent = text.get_window_extent()
            middle = np.array([extent.x0 + extent.x1, extent.y0 + extent.y1]) / 2 * 72 / figure.dpi
            wanted = [(label.box.left + label.box.right) / 2, (label.box.low + label.box.high) / 2]
            assert np.allclose(middle, wanted, atol=1.0)
            assert extent.width * 72 / figure.dpi < 1.15 * (label.box.right - label.box.left)
