"""People, what they ride, what stands at the roadside, and the houses and trees that no detector is asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lightloom.data.toytown.solids import Colour, Part, Span, beam, block, round_block, wheel
from lightloom.data.toytown.vehicles import pick

_SKIN: tuple[Colour, ...] = ((236.0, 190.0, 160.0), (198.0, 146.0, 112.0), (126.0, 84.0, 60.0))
_HAIR: tuple[Colour, ...] = ((44.0, 34.0, 28.0), (118.0, 82.0, 44.0), (206.0, 178.0, 112.0), (150.0, 150.0, 150.0))
_TOPS: tuple[Colour, ...] = (
    (220.0, 44.0, 60.0), (40.0, 96.0, 196.0), (244.0, 244.0, 244.0), (232.0, 128.0, 170.0), (120.0, 56.0, 160.0),
    (30.0, 150.0, 150.0), (60.0, 62.0, 70.0), (150.0, 30.0, 40.0),
)  # fmt: skip
_LEGS: tuple[Colour, ...] = ((40.0, 52.0, 92.0), (36.0, 36.0, 40.0), (120.0, 104.0, 84.0), (86.0, 90.0, 98.0))
_FRAMES: tuple[Colour, ...] = ((10.0, 190.0, 210.0), (240.0, 80.0, 150.0), (170.0, 220.0, 40.0), (250.0, 250.0, 250.0))
_TANKS: tuple[Colour, ...] = ((188.0, 24.0, 30.0), (24.0, 60.0, 160.0), (30.0, 30.0, 34.0), (236.0, 236.0, 236.0))
_TYRE: Colour = (24.0, 24.0, 26.0)
_STEEL: Colour = (150.0, 152.0, 156.0)
_ORANGE: Colour = (255.0, 104.0, 14.0)
_WHITE: Colour = (246.0, 246.0, 242.0)
_STRIPE: Colour = (218.0, 26.0, 34.0)


def pedestrian(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """Legs apart as in a step, a coat, arms, a head with a face in front.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    coat, legs, skin, hair = pick(draw, _TOPS), pick(draw, _LEGS), pick(draw, _SKIN), pick(draw, _HAIR)
    hip, neck, deep = 0.47 * h, 0.83 * h, min(0.17, 0.45 * l)
    left, right = (1, -1) if draw.random() < 0.5 else (-1, 1)
    return [
        _leg(left, w, l, hip, legs),
        _leg(right, -w, l, hip, legs),
        block((-deep, deep), (-0.34 * w, 0.34 * w), (hip * 0.94, neck), coat, top=((-deep, deep), (-0.4 * w, 0.4 * w))),
        block((-0.07, 0.07), (0.34 * w, w / 2), (hip, neck * 0.98), coat, lower=skin),
        block((-0.07, 0.07), (-w / 2, -0.34 * w), (hip, neck * 0.98), coat, lower=skin),
        round_block((0.02, 0.0), (0.11, 0.11), (neck, 0.95 * h), hair, front=skin),
        round_block((0.0, 0.0), (0.12, 0.08), (0.95 * h, h), hair),
    ]


def bicycle(draw: np.random.Generator, w: float, l: float, h: float, ridden: bool) -> list[Part]:  # noqa: E741
    """Thin wheels and a bright frame; with a rider in a bright jersey, or without.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
        ridden: With a rider.
    """
    paint, radius = pick(draw, _FRAMES), min(0.36, 0.2 * l)
    thin: Span = (-0.035, 0.035)
    back, front, saddle = -l / 2 + radius, l / 2 - radius, h if not ridden else 0.56 * h
    bar = 0.94 * saddle if not ridden else 0.60 * h
    parts = [
        *(_cycle_wheel(x, radius, 0.045) for x in (back, front)),
        *(wheel(x, radius * 0.66, (-0.05, 0.05), _STEEL, (140.0, 140.0, 142.0)) for x in (back, front)),
        beam((back, radius), (-0.12 * l, saddle - 0.06), 0.09, thin, paint),
        beam((front, radius), (front - 0.14, bar), 0.09, thin, paint),
        beam((-0.10 * l, saddle * 0.82), (front - 0.10, bar * 0.85), 0.10, thin, paint),
        beam((-0.02 * l, radius), (front - 0.10, bar * 0.80), 0.10, thin, paint),
        block((-0.2 * l, -0.04 * l), (-0.08, 0.08), (saddle - 0.06, saddle), _TYRE),
        block((front - 0.2, front - 0.1), (-w / 2, w / 2), (bar - 0.05, bar), _TYRE),
    ]
    lean = front - 0.22
    return parts + (_rider(draw, w, h, (-0.12 * l, saddle), lean, pick(draw, _FRAMES), 0.36) if ridden else [])


def motorcycle(draw: np.random.Generator, w: float, l: float, h: float, ridden: bool) -> list[Part]:  # noqa: E741
    """Fat wheels and a heavy body with a lamp; with a rider in dark leather, or without.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
        ridden: With a rider.
    """
    paint, radius = pick(draw, _TANKS), 0.15 * l
    saddle = 0.68 * h if not ridden else 0.47 * h
    bar = h if not ridden else 0.62 * h
    back, front = -l / 2 + radius, l / 2 - radius
    parts = [
        *(wheel(x, radius, (-0.1, 0.1), _TYRE, _STEEL) for x in (back, front)),
        block((back * 0.8, front * 0.62), (-0.18, 0.18), (radius * 0.7, saddle * 0.72), (70.0, 70.0, 76.0)),
        block((-0.02 * l, 0.24 * l), (-0.21, 0.21), (saddle * 0.72, saddle * 1.12), paint),
        block((-0.42 * l, 0.0), (-0.17, 0.17), (saddle * 0.72, saddle), (44.0, 34.0, 30.0), back=_STRIPE),
        beam((front, radius), (front - 0.22, bar - 0.08), 0.14, (-0.09, 0.09), _STEEL),
        block((front - 0.32, front - 0.2), (-w / 2, w / 2), (bar - 0.08, bar), _TYRE),
        block((front - 0.2, front - 0.05), (-0.13, 0.13), (bar - 0.3, bar - 0.08), paint, front=(255.0, 250.0, 210.0)),
    ]
    return parts + (_rider(draw, w, h, (-0.12 * l, saddle), front - 0.3, (52.0, 50.0, 56.0), 0.44) if ridden else [])


def traffic_cone(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """Orange with a white band, on a dark foot.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    wide, low, high = min(w, l) / 2 * 0.92, 0.42, 0.68

    def radius(share: float) -> float:
        return wide * (1 - share) + 0.05 * share

    return [
        block((-l / 2, l / 2), (-w / 2, w / 2), (0.0, 0.05 * h), (60.0, 40.0, 34.0)),
        round_block((0.0, 0.0), (radius(0), radius(low)), (0.05 * h, low * h), _ORANGE),
        round_block((0.0, 0.0), (radius(low), radius(high)), (low * h, high * h), _WHITE),
        round_block((0.0, 0.0), (radius(high), radius(1)), (high * h, h), _ORANGE),
    ]


def barrier(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """Red and white blocks in a row across, each wider below.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    ends = np.linspace(-w / 2, w / 2, 6).tolist()
    colours = (_STRIPE, _WHITE) if draw.random() < 0.5 else (_WHITE, _STRIPE)
    return [
        block((-l / 2, l / 2), span, (0.0, h), colours[k % 2], top=((-l / 4, l / 4), span))
        for k, span in enumerate(pairwise(ends))
    ]


def house(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """Walls with a band of windows under a dark roof.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    walls: tuple[Colour, ...] = (
        (214.0, 200.0, 178.0),
        (186.0, 168.0, 152.0),
        (198.0, 202.0, 206.0),
        (176.0, 150.0, 134.0),
    )
    wall = pick(draw, walls)
    band = (wall[0] * 0.72, wall[1] * 0.74, wall[2] * 0.78)
    roof = (126.0, 92.0, 82.0) if draw.random() < 0.5 else (104.0, 106.0, 112.0)
    x, y = (-l / 2, l / 2), (-w / 2, w / 2)
    return [
        block(x, y, (0.0, 0.72 * h), wall),
        block((x[0] - 0.02, x[1] + 0.02), (y[0] - 0.02, y[1] + 0.02), (0.3 * h, 0.45 * h), band),
        block(x, y, (0.72 * h, h), roof, top=((-l / 3, l / 3), (-w / 8, w / 8))),
    ]


def tree(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """A trunk and a crown.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    leaves = pick(draw, ((62.0, 104.0, 56.0), (78.0, 116.0, 60.0), (54.0, 92.0, 62.0)))
    return [
        round_block((0.0, 0.0), (0.2, 0.16), (0.0, 0.5 * h), (92.0, 74.0, 58.0)),
        round_block((0.0, 0.0), (w * 0.32, w / 2), (0.38 * h, 0.62 * h), leaves),
        round_block((0.0, 0.0), (w / 2, w * 0.14), (0.62 * h, h), leaves),
    ]


def _leg(forward: int, wide: float, l: float, hip: float, colour: Colour) -> Part:  # noqa: E741
    """One leg in a step: its foot at the end of the box, on the side that `wide` has the sign of."""
    foot = (l / 2 - 0.16, l / 2) if forward > 0 else (-l / 2, -l / 2 + 0.16)
    inner, outer = sorted((0.04 * wide, 0.32 * wide))
    return block(foot, (inner, outer), (0.0, hip), colour, top=((-0.1, 0.1), (inner, outer)), lower=_TYRE)


def _cycle_wheel(x: float, radius: float, half: float) -> Part:
    return wheel(x, radius, (-half, half), _TYRE, _TYRE)


def _rider(
    draw: np.random.Generator, w: float, h: float, seat: Span, hands: float, coat: Colour, thick: float
) -> list[Part]:
    """Somebody who sits at `seat` (x, z), the hands at x = `hands`, the helmet up to h."""
    x, z = seat
    legs, skin, helmet = pick(draw, _LEGS), pick(draw, _SKIN), pick(draw, _TOPS)
    side = min(0.23, w * 0.42)
    knee, hip, low = (x - 0.02, x + 0.16), (x - 0.1, x + 0.24), (0.2 * h, z + 0.08)
    shoulder = (x + 0.55 * (hands - x), 0.83 * h)
    return [
        beam((x, z), shoulder, thick, (-side, side), coat),
        beam((shoulder[0], 0.79 * h), (hands, 0.64 * h), 0.13, (-side, side), coat),
        block(knee, (0.5 * side, side), low, legs, top=(hip, (0.4 * side, side))),
        block(knee, (-side, -0.5 * side), low, legs, top=(hip, (-side, -0.4 * side))),
        round_block((shoulder[0] + 0.06, 0.0), (0.13, 0.12), (0.83 * h, h), helmet, front=skin, upper=helmet),
    ]  # fmt: skip
