"""Cars, trucks, buses, trailers and construction vehicles: white lights in front, red ones behind."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lightloom.data.toytown.solids import Colour, Part, Span, beam, block, wheel

_TYRE: Colour = (26.0, 26.0, 28.0)
_HUB: Colour = (120.0, 120.0, 124.0)
_GLASS: Colour = (38.0, 52.0, 68.0)
_FRAME: Colour = (48.0, 48.0, 52.0)
_WHITE: Colour = (255.0, 250.0, 214.0)
_RED: Colour = (214.0, 16.0, 20.0)

_CARS: tuple[Colour, ...] = (
    (196.0, 30.0, 36.0), (28.0, 72.0, 170.0), (236.0, 236.0, 238.0), (52.0, 54.0, 60.0), (168.0, 174.0, 182.0),
    (16.0, 118.0, 122.0), (110.0, 44.0, 130.0), (148.0, 182.0, 214.0), (122.0, 26.0, 44.0), (202.0, 188.0, 160.0),
)  # fmt: skip
_BUSES: tuple[Colour, ...] = ((206.0, 34.0, 48.0), (30.0, 110.0, 200.0), (20.0, 140.0, 92.0), (232.0, 232.0, 226.0))
_LOADS: tuple[Colour, ...] = (
    (240.0, 240.0, 236.0),
    (190.0, 208.0, 226.0),
    (222.0, 206.0, 176.0),
    (142.0, 166.0, 190.0),
)
_CABS: tuple[Colour, ...] = ((190.0, 36.0, 36.0), (34.0, 88.0, 176.0), (236.0, 236.0, 232.0), (30.0, 120.0, 84.0))
_CRATES: tuple[Colour, ...] = ((150.0, 64.0, 44.0), (44.0, 84.0, 128.0), (62.0, 110.0, 84.0), (178.0, 122.0, 58.0))
_YELLOWS: tuple[Colour, ...] = ((246.0, 186.0, 16.0), (236.0, 170.0, 30.0), (250.0, 204.0, 40.0))


def pick(draw: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One of some colours, a little off.

    Args:
        draw: It draws which, and how far off.
        colours: Colours to choose from.
    """
    red, green, blue = colours[int(draw.integers(len(colours)))]
    shift = draw.uniform(-12, 12)
    return (_byte(red + shift), _byte(green + shift), _byte(blue + shift))


def car(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """A saloon, an estate car or a small van of width, length and height in m.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    paint, side = pick(draw, _CARS), w / 2
    back, hood = ((-0.40, -0.27), (-0.49, -0.46), (-0.48, -0.40))[int(draw.integers(3))], draw.uniform(0.20, 0.30)
    return [
        block((-l / 2 + 0.05, l / 2 - 0.05), _both(side - 0.02), (0.16 * h, 0.57 * h), paint, lower=_FRAME),
        block(
            (back[0] * l, hood * l), _both(side * 0.94), (0.57 * h, 0.94 * h), _GLASS,
            top=((back[1] * l, (hood - 0.16) * l), _both(side * 0.80)),
        ),
        block((back[1] * l, (hood - 0.16) * l), _both(side * 0.80), (0.94 * h, h), paint),
        *_axles((-0.31 * l, 0.31 * l), 0.21 * h, side),
        *_lights(l, side * 0.92, (0.36 * h, 0.50 * h)),
    ]  # fmt: skip


def truck(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """A cab and a bright load.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    paint, load, side = pick(draw, _CABS), pick(draw, _LOADS), w / 2
    front, cab = l / 2 - 0.05, min(2.1, 0.3 * l)
    wall = front - cab
    return [
        block((-l / 2 + 0.05, front), _both(side * 0.82), (0.5, 0.95), _FRAME),
        block((wall, front), _both(side * 0.97), (0.45, 0.50 * h), paint),
        block(
            (wall, front), _both(side * 0.97), (0.50 * h, 0.76 * h), paint,
            top=((wall, front - 0.25), _both(side * 0.92)), front=_GLASS,
        ),
        block((wall + 0.5, front - 0.5), _both(side * 0.975), (0.52 * h, 0.68 * h), _GLASS),
        block((-l / 2 + 0.03, wall - 0.15), _both(side), (0.95, h), load),
        *_axles((-0.36 * l, -0.24 * l, 0.36 * l), 0.46, side * 0.98),
        *_lights(l, side * 0.9, (0.55, 0.8)),
    ]  # fmt: skip


def bus(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """Long, coloured below and above a band of windows.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    paint, side = pick(draw, _BUSES), w / 2
    x: Span = (-l / 2 + 0.03, l / 2 - 0.03)
    return [
        block(x, _both(side), (0.32, 0.42 * h), paint, lower=_FRAME),
        block(
            (x[0] + 0.04, x[1] - 0.02), _both(side * 0.985), (0.42 * h, 0.80 * h), _GLASS, front=(70.0, 96.0, 122.0),
            back=paint,
        ),
        block((-l * 0.2, -l * 0.17), _both(side), (0.42 * h, 0.80 * h), paint),
        block((l * 0.15, l * 0.18), _both(side), (0.42 * h, 0.80 * h), paint),
        block(x, _both(side), (0.80 * h, h), paint, front=(255.0, 196.0, 60.0), upper=(228.0, 228.0, 224.0)),
        *_axles((-0.28 * l, 0.33 * l), 0.48, side),
        *_lights(l, side * 0.9, (0.55, 0.85)),
    ]  # fmt: skip


def trailer(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """A ribbed crate on wheels at its back, without a cab.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    paint, side = pick(draw, _CRATES), w / 2
    dark: Colour = (paint[0] * 0.72, paint[1] * 0.72, paint[2] * 0.72)
    ends = np.linspace(-l / 2 + 0.03, l / 2, 10).tolist()
    ribs = [
        block(span, _both(side - 0.04 * (k % 2)), (1.15, h - 0.04 * (k % 2)), (paint, dark)[k % 2])
        for k, span in enumerate(pairwise(ends))
    ]
    return [
        *ribs,
        block((-l / 2 + 0.05, l / 2 - 0.1), _both(side * 0.8), (0.85, 1.15), _FRAME),
        block((0.30 * l, 0.30 * l + 0.2), _both(side * 0.7), (0.0, 0.85), _FRAME),
        *_axles((-0.40 * l, -0.29 * l), 0.46, side * 0.98),
        block((-l / 2, -l / 2 + 0.05), _both(side * 0.9), (0.95, 1.2), _RED),
    ]


def construction_vehicle(draw: np.random.Generator, w: float, l: float, h: float) -> list[Part]:  # noqa: E741
    """A yellow digger: tracks, a cab, an arm up and down again in front.

    Args:
        draw: It draws colours and proportions.
        w: Width in m.
        l: Length in m.
        h: Height in m.
    """
    paint, side = pick(draw, _YELLOWS), w / 2
    arm: Span = (-0.16 * w, 0.10 * w)
    elbow: Span = (0.30 * l, h - 0.14)
    return [
        block((-l / 2 + 0.1, 0.16 * l), (side * 0.5, side), (0.0, 0.75), _FRAME, upper=_TYRE),
        block((-l / 2 + 0.1, 0.16 * l), (-side, -side * 0.5), (0.0, 0.75), _FRAME, upper=_TYRE),
        block((-l / 2, 0.13 * l), _both(side * 0.9), (0.75, 0.52 * h), paint, back=(60.0, 58.0, 50.0)),
        block((-0.20 * l, 0.12 * l), (0.12 * w, side * 0.88), (0.52 * h, 0.92 * h), _GLASS),
        block((-0.22 * l, 0.12 * l), (0.12 * w, side * 0.88), (0.92 * h, h), paint),
        beam((0.06 * l, 0.48 * h), elbow, 0.28, arm, paint),
        beam(elbow, (0.44 * l, 0.24 * h), 0.24, arm, paint),
        block((0.37 * l, l / 2), (-0.28 * w, 0.22 * w), (0.08, 0.28 * h), (74.0, 70.0, 62.0)),
    ]


def _axles(places: tuple[float, ...], radius: float, side: float) -> list[Part]:
    return [wheel(x, radius, _both(side), _TYRE, _HUB) for x in places]


def _lights(l: float, side: float, z: Span) -> list[Part]:  # noqa: E741
    return [
        block((l / 2 - 0.06, l / 2), _both(side), z, _WHITE),
        block((-l / 2, -l / 2 + 0.06), _both(side), z, _RED),
    ]


def _both(half: float) -> Span:
    return (-half, half)


def _byte(value: float) -> float:
    return float(min(max(value, 0.0), 255.0))
