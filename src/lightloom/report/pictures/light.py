"""What the optical layers do: their phase masks, the light between them, and the feature maps of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightloom.report.pictures.boxes2d import font
from lightloom.report.pictures.sheets import (
    Scale,
    Sheet,
    Tile,
    coloured,
    enlarged,
    gif,
    montage,
    png,
    scale,
    spanned,
    uri,
)
from lightloom.report.plots.line_styles import spread_out
from lightloom.report.readers.hybrid import OpticalLayer
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import ranked
from lightloom.report.units import count, number, percent, si

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_LAYERS, MOST_PATHS, MOST_MASKS = 4, 4, 6
MOST_FEATURED = 8
_CYCLE, _LIGHT, _READ = "twilight", "inferno", "viridis"
_SIDE = 160  # px of a map on the page; a larger one is made smaller
_FILE = 220  # px of a map in a file, at least
_BAND, _LETTERS = 36, 21  # below a picture of an animation, in px


@dataclass(frozen=True)
class FeatureRow:
    """The feature maps of one case, one a stage, None where there is none."""

    case: str
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True)
class Features:
    """The feature maps of all cases, and their file."""

    stages: tuple[str, ...]
    rows: tuple[FeatureRow, ...]
    scale: Scale
    sheet: Sheet


def chosen(run: Run) -> list[OpticalLayer]:
    """The layers that are shown: in the order of the cases, the first and the last among them."""
    cases = ranked(run.sweep, [layer.case for layer in run.optics.layers])
    return spread_out(sorted(run.optics.layers, key=lambda layer: cases.index(layer.case)), MOST_LAYERS)


def mask_sheets(layers: Sequence[OpticalLayer]) -> list[Sheet]:
    """A sheet of phase masks for each layer that has some."""
    return [_masks(place, layer, layer.masks) for place, layer in enumerate(layers) if layer.masks is not None]


def light_sheets(layers: Sequence[OpticalLayer]) -> list[Sheet]:
    """A sheet for each layer whose light is known: plane by plane, moving, and as it is read."""
    return [_light(place, layer, layer.light) for place, layer in enumerate(layers) if layer.light is not None]


def features(run: Run) -> Features | None:
    """The feature maps of the first cases, None where there are none."""
    cases = ranked(run.sweep, run.optics.features)[:MOST_FEATURED]
    if not cases:
        return None
    stages = sorted({stage for case in cases for stage in run.optics.features[case]})
    rows, pictures = [], []
    for case in cases:
        maps = run.optics.features[case]
        rows.append(FeatureRow(case, tuple(_feature(case, stage, maps.get(stage)) for stage in stages)))
        by_stage = {stage: coloured(spanned(_averaged(maps[stage])), _READ) for stage in stages if stage in maps}
        pictures += [(f"{case}, {stage}", enlarged(picture, _FILE)) for stage, picture in by_stage.items()]
    file = {"features.png": png(montage("Feature maps", pictures, len(stages)))}
    return Features(
        tuple(stages), tuple(rows), scale(_READ, "least", "most"), Sheet("features", "", "", (), files=file)
    )


def planes(number: int) -> list[str]:
    """Names of the planes of a stored field: the input, then the plane of each mask, then the detector."""
    return ["input", *(f"at mask {index}" for index in range(1, number - 1)), "at the detector"][:number]


def _masks(place: int, layer: OpticalLayer, masks: NDArray[np.float64]) -> Sheet:
    paths, depth = min(len(masks), MOST_PATHS), min(masks.shape[1], MOST_MASKS)
    tiles, pictures = [], []
    for path in range(paths):
        for index in range(depth):
            turns = np.mod(_sparser(masks[path, index]), 1.0)
            picture = coloured(turns, _CYCLE)
            title = f"mask {index + 1}" if paths == 1 else f"path {path + 1}, mask {index + 1}"
            alt = f"Phases of {title} of {layer.name} in {layer.case}, {_grid(masks.shape[2:])}."
            tiles.append(Tile(title, "", alt, uri(png(picture), "png")))
            pictures.append((title, enlarged(picture, _FILE)))
    title = f"{layer.case}: {layer.name}"
    file = {f"masks-{place}.png": png(montage(f"Phase masks, {title}", pictures, depth if depth > 1 else paths))}
    bar = scale(_CYCLE, "0", "1 turn")
    return Sheet(f"masks-{place}", title, _of_masks(layer, masks, paths), tuple(tiles), bar, file)


def _of_masks(layer: OpticalLayer, masks: NDArray[np.float64], paths: int) -> str:
    """How large the masks are and which of them are shown."""
    rows, columns = masks.shape[2:]
    words = [f"{_grid((rows, columns))} pixels"]
    if layer.geometry is not None:
        words[0] += f" of {si(layer.geometry.pixel, 'm')}, for light of {si(layer.geometry.wavelength, 'm')}"
        if layer.geometry.mixing:
            words.append(f"mixing: {layer.geometry.mixing}")
        if layer.geometry.paths is not None and layer.geometry.paths > paths:
            words.append(f"{paths} of {count(layer.geometry.paths)} paths")
    if _step(masks[0, 0]) > 1:
        words.append(f"every {_ordinal(_step(masks[0, 0]))} pixel is shown")
    return f"{'; '.join(words)}."


def _light(place: int, layer: OpticalLayer, light: NDArray[np.float64]) -> Sheet:
    names, maps = planes(len(light)), [_averaged(plane) for plane in light]
    frames = [coloured(np.sqrt(_lit(plane)), _LIGHT) for plane in maps]
    notes = _notes(layer, light)
    where = f"{layer.name} of {layer.case}"
    tiles = [
        Tile(name, note, f"Intensity of light {name}, {where}. {note}".strip(), uri(png(picture), "png"))
        for name, note, picture in zip(names, notes, frames, strict=True)
    ]
    pictures = [(name, enlarged(picture, _FILE)) for name, picture in zip(names, frames, strict=True)]
    if layer.image is not None:
        picture = coloured(spanned(_averaged(layer.image)), _READ)
        note = f"{number(float(layer.image.min()), 2)} to {number(float(layer.image.max()), 2)}"
        tiles.append(Tile("as read", note, f"What the detector reads of {where}: {note}.", uri(png(picture), "png")))
        pictures.append(("as read", enlarged(picture, _FILE)))
    title = f"{layer.case}: {layer.name}"
    files = {f"light-{place}.png": png(montage(f"Light, {title}", pictures, 3))}
    if len(frames) > 1:
        moving = gif([_frame(enlarged(picture, _FILE), name) for name, picture in zip(names, frames, strict=True)])
        files[f"light-{place}.gif"] = moving
        alt = f"The same planes, one after the other, {where}."
        tiles.append(Tile("on its way", "plane after plane", alt, uri(moving, "gif"), tiles[0].source, crisp=False))
    return Sheet(f"light-{place}", title, _of_light(layer, light), tuple(tiles), scale(_LIGHT, "dark", "most"), files)


def _lit(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intensities over the most of them; all 0 where it is dark."""
    most = float(plane.max())
    return plane / most if most > 0 else np.zeros_like(plane)


def _notes(layer: OpticalLayer, light: NDArray[np.float64]) -> list[str]:
    """How far behind the input each plane lies, and how much of the light is there."""
    depths = layer.geometry.depths(len(light)) if layer.geometry is not None else []
    whole = float(light[0].sum())
    words = []
    for index, plane in enumerate(light):
        depth = [f"after {si(depths[index], 'm')}"] if depths and index else []
        left = [f"{percent(float(plane.sum()) / whole)} of the light"] if whole > 0 and index else []
        words.append(", ".join((*depth, *left)))
    return words


def _of_light(layer: OpticalLayer, light: NDArray[np.float64]) -> str:
    words = f"One path, on a grid of {_grid(light.shape[1:])} points"
    if layer.geometry is not None:
        words += f", {si(light.shape[1] * layer.geometry.pixel, 'm')} high"
    return f"{words}. Each plane goes up to its own most; brightness is the square root of intensity."


def _frame(picture: Image, text: str) -> Image:
    """A picture of an animation: its name below it."""
    from PIL import Image as pil
    from PIL import ImageDraw

    whole = pil.new("P", (picture.width, picture.height + _BAND))
    colours = picture.getpalette() or []
    whole.putpalette([*colours, 255, 255, 255])
    whole.paste(picture, (0, 0))
    ImageDraw.Draw(whole).text((8, picture.height + 4), text, fill=len(colours) // 3, font=font(_LETTERS))
    return whole


def _feature(case: str, stage: str, values: NDArray[np.float64] | None) -> Tile | None:
    if values is None:
        return None
    note = f"{number(float(values.min()), 2)} to {number(float(values.max()), 2)}"
    alt = f"Feature map of {stage} in {case}, {_grid(values.shape)}, {note}."
    return Tile("", note, alt, uri(png(coloured(spanned(_averaged(values)), _READ)), "png"))


def _step(values: NDArray[np.float64]) -> int:
    """Every how many pixels one is shown."""
    return -(-int(max(values.shape)) // _SIDE)


def _sparser(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Single pixels of a map that is too large: phases have no mean."""
    step = _step(values)
    return values[::step, ::step]


def _averaged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A map, with blocks of pixels averaged where it is too large; what is left at its far edges is cut."""
    step = _step(values)
    rows, columns = (max(1, side // step) for side in values.shape)
    inside = values[: rows * step, : columns * step]
    blocks = inside.reshape(rows, inside.shape[0] // rows, columns, inside.shape[1] // columns)
    return np.asarray(blocks.mean((1, 3)))


def _grid(shape: Sequence[int]) -> str:
    return " × ".join(str(side) for side in shape)


def _ordinal(number: int) -> str:
    return {2: "other", 3: "third"}.get(number, f"{number}th")
