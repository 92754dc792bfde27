from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightloom.report.pictures.boxes2d import PALETTE, annotate, colour, ink
from lightloom.report.pictures.sheets import LEVELS, coloured, enlarged, gif, montage, spanned

GREY = np.full((3, 80, 120), 128, dtype=np.uint8)
BOX = [20.0, 30.0, 60.0, 70.0]


def pixels(picture: Image.Image) -> Any:
    return np.asarray(picture.convert("RGB")).astype(int)


def rgb(text: str) -> tuple[int, ...]:
    return tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))


def painted(picture: Image.Image, text: str) -> Any:
    return (pixels(picture) == rgb(text)).all(-1)


def test_a_box_is_drawn_where_it_is_in_the_colour_of_its_class() -> None:
    edge = painted(annotate(GREY, [BOX], [1], None, ["a", "b"]), colour(1))
    assert edge[50, 20] and edge[50, 59] and edge[30, 50] and edge[69, 50]  # the far edges are 60 and 70, exclusive
    assert not edge[35:65, 25:55].any() and not edge[:, 64:].any() and not edge[74:].any()
    assert (GREY == 128).all()


def test_truth_is_dashed_and_what_is_found_is_not() -> None:
    found = painted(annotate(GREY, [BOX], [0], [0.9], ["a"]), colour(0))[69, 20:60]
    truth = painted(annotate(GREY, [], [], [], ["a"], truth=([BOX], [0])), colour(0))[69, 20:60]
    assert found.all()
    assert 0.4 < truth.mean() < 0.8


def test_a_larger_picture_has_its_boxes_where_they_belong() -> None:
    picture = annotate(Image.fromarray(GREY.transpose(1, 2, 0)), [BOX], [0], None, ["a"], width=240)
    assert picture.size == (240, 160)
    edge = painted(picture, colour(0))
    assert edge[100, 40] and edge[138, 100] and not edge[75:130, 50:110].any()


def test_boxes_beyond_the_image_and_classes_without_a_name_are_drawn_all_the_same() -> None:
    picture = annotate(GREY, [[-20, -20, 400, 400], [10, 10, 10, 10]], [0, 7], [0.5, 0.4], ["a"])
    assert painted(picture, colour(0))[40, 0] and painted(picture, colour(0))[79, 60]


def test_names_hide_little_of_a_crowded_picture() -> None:
    boxes = [[x, y, x + 30, y + 30] for x in range(0, 400, 25) for y in range(20, 300, 25)]
    scores = [0.99 - index / 500 for index in range(len(boxes))]
    image = np.zeros((3, 320, 440), dtype=np.uint8)
    bare = painted(annotate(image, boxes, [5] * len(boxes), None, [""]), colour(5)).mean()
    named = painted(annotate(image, boxes, [5] * len(boxes), scores, ["person"] * 6), colour(5)).mean()
    assert named - bare < 0.1
    assert painted(annotate(image, boxes[:1], [5], scores[:1], ["person"] * 6), colour(5)).mean() > 0.005


@pytest.mark.parametrize(
    ("image", "boxes", "labels", "scores", "word"),
    [
        (GREY.transpose(1, 2, 0), [BOX], [0], None, "Transpose"),
        (GREY / 255, [BOX], [0], None, "float64"),
        (GREY, [BOX], [0, 1], None, "2 labels"),
        (GREY, [BOX], [0], [0.1, 0.2], "2 scores"),
        (GREY, [[0, 0, np.nan, 1]], [0], None, "not finite"),
    ],
)
def test_what_does_not_fit_together_is_refused(image: Any, boxes: Any, labels: Any, scores: Any, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        annotate(image, boxes, labels, scores, ["a"])


def _linear(text: str) -> Any:
    parts = np.array(rgb(text)) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def test_colours_differ_for_the_colour_blind() -> None:
    views = {  # Viénot, Brettel and Mollon 1999, in linear RGB
        "no long cones": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "no middle cones": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        "all": np.eye(3),
    }
    for view in views.values():
        seen = [np.asarray(view) @ _linear(text) for text in PALETTE]
        shades = [np.cbrt(np.clip(one, 0, 1)) for one in seen]  # about even steps of lightness
        assert min(np.abs(one - other).max() for one, other in combinations(shades, 2)) > 0.08
    assert len({colour(label) for label in range(len(PALETTE))}) == len(PALETTE)


@pytest.mark.parametrize("text", PALETTE)
def test_names_are_read_easily_on_their_colour(text: str) -> None:
    light, dark = (_linear(each) @ (0.2126, 0.7152, 0.0722) + 0.05 for each in (text, ink(text)))
    assert max(light, dark) / min(light, dark) >= 4.5


def test_a_map_has_the_colours_of_its_values() -> None:
    from matplotlib import colormaps

    values = np.random.default_rng(0).uniform(0, 1, (9, 5))
    picture = coloured(values, "twilight")
    assert picture.size == (5, 9)
    steps = np.floor(values * LEVELS) / (LEVELS - 1)
    assert np.abs(pixels(picture) - 255 * colormaps["twilight"](steps)[..., :3]).max() <= 1
    ends = pixels(coloured(np.array([[0.0, 1.0]]), "twilight"))
    assert np.abs(ends[0, 0] - ends[0, 1]).max() <= 2  # phases go round


def test_an_animation_keeps_every_picture() -> None:
    from io import BytesIO

    content = gif([coloured(np.full((4, 4), value), "inferno") for value in (0.0, 0.5, 1.0)])
    with Image.open(BytesIO(content)) as moving:
        assert moving.n_frames == 3 and moving.info["loop"] == 0  # type: ignore[attr-defined]


def test_a_sheet_holds_its_pictures_unchanged() -> None:
    one, other = (coloured(np.full((3, 5), value), "viridis") for value in (0.0, 1.0))
    whole = pixels(montage("title", [("one", enlarged(one, 50)), ("other", enlarged(other, 50))], 2))
    for picture in (one, other):
        assert (whole == pixels(picture)[0, 0]).all(-1).sum() == 50 * 30


def test_a_map_without_a_slope_is_the_least() -> None:
    assert (spanned(np.full((2, 2), 7.0)) == 0).all()
    np.testing.assert_allclose(spanned(np.array([[1.0, 3.0], [2.0, 5.0]])), [[0, 0.5], [0.25, 1]])
