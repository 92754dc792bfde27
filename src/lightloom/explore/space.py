"""The points of a sweep: axes as text, every value checked before anything runs."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightloom.chips import TECHNOLOGIES, Chip, Constant, preset
from lightloom.common.arguments import checked
from lightloom.common.config import Section
from lightloom.common.errors import RequestError, nearest
from lightloom.common.seeds import named_seed
from lightloom.cost import System
from lightloom.explore.config import ExploreConfig

MOST_POINTS = 100_000
"""Most points of one sweep; a longer list is a mistake in an axis, or a case for `limit`."""

_NOTHING = ("none", "null")


@dataclass(frozen=True)
class Axis:
    """One setting and the values that it takes, as they were written."""

    key: str
    """`network`, `chip`, or a path of fields: `chip.block_size`, `chip.devices.mzi_loss`, `system.schedule`."""
    values: tuple[str, ...]


@dataclass(frozen=True)
class DesignPoint:
    """One choice of network, chip and system; what a point of the sweep measures."""

    network: str
    chip: Chip
    system: System
    settings: dict[str, Any]
    """Value of every axis that says something here, as read."""

    @property
    def label(self) -> str:
        """A label for a person: the values with the last word of each axis."""
        words = [
            str(value) if key in ("network", "chip") else f"{key.rpartition('.')[2].replace('_', ' ')} {_shown(value)}"
            for key, value in self.settings.items()
        ]
        return ", ".join(words) or self.chip.name


@dataclass(frozen=True)
class Space:
    """Every design of a sweep, each once, in the order of the axes, the last of which changes fastest."""

    axes: list[str]
    designs: list[DesignPoint]
    notes: list[str]
    """What was asked for and says nothing at some designs."""
    assumptions: list[str]
    """What calibration is taken to have done."""


@checked
def parse_axis(text: str) -> Axis:
    """Read `chip.block_size=4,8,16`; commas inside brackets belong to a value.

    Raises:
        RequestError: It has no `=`, no value, or an empty or repeated one.
    """
    key, equals, rest = text.partition("=")
    if not equals or not key.strip():
        raise RequestError(f"`{text}` is no axis; write it as `chip.block_size=4,8,16`.")
    values = [value.strip() for value in _split(rest)]
    if "" in values:
        raise RequestError(f"The axis `{text}` has an empty value; give values between commas.")
    if len(set(values)) < len(values):
        raise RequestError(f"The axis `{text}` has a value twice; give each once.")
    return Axis(key.strip(), tuple(values))


@checked
def space(config: ExploreConfig, bases: Sequence[Chip], networks: Sequence[str] = ("network",)) -> Space:
    """The full product of the axes, or the listed points, or a random part of either.

    Args:
        config: What is asked for.
        bases: Chips to start from; an axis `chip` names presets in their place.
        networks: Names that an axis `network` chooses among; without that axis all of them.

    Raises:
        RequestError: An axis is unknown, a value does not fit or is out of range, no point has an axis, or there is
            nothing to measure.
    """
    products = [[parse_axis(text) for text in entry] for entry in config.points or (config.axes,)]
    builder = _Builder(config, bases, networks)
    by_key: dict[str, DesignPoint] = {}
    for product in products:
        _check_size(product)
        by_key |= {_key(design): design for design in builder.designs(product)}
    builder.check()
    designs = list(by_key.values())
    if config.limit is not None and config.limit < len(designs):
        draw = random.Random(named_seed(config.seed, "explore", "limit"))
        designs = [designs[number] for number in sorted(draw.sample(range(len(designs)), config.limit))]
    keys = dict.fromkeys(key for design in designs for key in design.settings)
    return Space(list(keys), designs, builder.notes(), builder.assumptions())


def set_field(section: Section, path: str, text: str) -> tuple[Any, Any]:
    """A copy of a section with the field at `path` read from `text` by the field's type; the copy and the value.

    Args:
        section: The section to copy.
        path: Names of fields with dots between; that of a device constant takes its value, in the constant's unit.
        text: The value as it is written.

    Raises:
        RequestError: There is no such field, or the value does not fit.
    """
    name, _, rest = path.partition(".")
    if name not in type(section).model_fields:
        raise RequestError(f"no field `{name}`. {nearest(name, type(section).model_fields)}")
    current = getattr(section, name)
    if isinstance(current, Constant):
        changed, value = _constant(current, rest, text)
    elif isinstance(current, Section):
        if not rest:
            raise RequestError(f"a group of fields; give one of them: {_list(paths(current))}.")
        changed, value = set_field(current, rest, text)
    elif rest:
        raise RequestError(f"`{name}` has no fields of its own")
    else:
        section = section.replace(**{name: _read(text)})
        return section, getattr(section, name)
    return section.replace(**{name: changed}), value


def paths(section: Section | type[Section]) -> Iterator[str]:
    """Every path that `set_field` takes."""
    kind = section if isinstance(section, type) else type(section)
    for name, field in kind.model_fields.items():
        inside = field.annotation
        if isinstance(inside, type) and issubclass(inside, Section) and inside is not Constant:
            yield from (f"{name}.{below}" for below in paths(inside))
        else:
            yield name


class _Builder:
    """Makes designs and remembers which axes said something where."""

    def __init__(self, config: ExploreConfig, bases: Sequence[Chip], networks: Sequence[str]) -> None:
        self.bases, self.networks, self.system, self.calibrated = bases, networks, config.system, config.calibrated
        self.fields = {name: set(paths(technology.chip)) for name, technology in TECHNOLOGIES.items()}
        self.errors: dict[str, dict[str, None]] = {}  # technology: fields that a calibration takes off
        self.idle: dict[str, dict[str, None]] = {}  # axis: technologies that have no such field
        self.said: set[str] = set()
        self.wrong: dict[str, None] = {}

    def designs(self, axes: Sequence[Axis]) -> Iterator[DesignPoint]:
        keys = [axis.key for axis in axes]
        for key in keys:
            self._check_key(key, keys)
        designers = [axis for axis in axes if axis.key in ("network", "chip")]
        rest = [axis for axis in axes if axis not in designers]
        values = {axis.key: axis.values for axis in designers}
        for name in values.get("network", tuple(self.networks)):
            if name not in self.networks:
                raise RequestError(f"There is no network `{name}`. {nearest(name, self.networks)}")
            for base in self._bases(values.get("chip")):
                start = {"network": name} if len(self.networks) > 1 or "network" in values else {}
                if len(self.bases) > 1 or "chip" in values:
                    start["chip"] = base.name
                yield from self._settle(DesignPoint(name, base, self.system, start), rest)

    def _bases(self, names: Sequence[str] | None) -> list[Chip]:
        chips = list(self.bases) if names is None else [preset(name) for name in names]
        if not chips:
            raise RequestError("There is no chip to explore; give one, or an axis `chip=noems,elight`.")
        twice = next((c.name for n, c in enumerate(chips) if c.name in [other.name for other in chips[:n]]), None)
        if twice is not None:
            raise RequestError(f"Two chips are called `{twice}`; give each a `name` of its own.")
        return [self._calibrated(chip) for chip in chips]

    def _calibrated(self, chip: Chip) -> Chip:
        """The chip to start from; what a calibration takes off is noted, whether it is taken off or not."""
        after = chip.calibrated()
        fields = [name for name in type(chip).model_fields if getattr(chip, name) != getattr(after, name)]
        self.errors.setdefault(chip.technology, {}).update(dict.fromkeys(fields))
        return after if self.calibrated else chip

    def _settle(self, start: DesignPoint, axes: Sequence[Axis]) -> Iterator[DesignPoint]:
        technology = start.chip.technology
        apt = [axis for axis in axes if axis.key.startswith("system.") or axis.key[5:] in self.fields[technology]]
        for axis in axes:
            if axis not in apt:
                self.idle.setdefault(axis.key, {})[technology] = None
        self.said.update(axis.key for axis in apt)
        for values in itertools.product(*(axis.values for axis in apt)):
            design = self._set(start, [axis.key for axis in apt], values)
            if design is not None:
                yield design

    def _set(self, design: DesignPoint, keys: Sequence[str], values: Sequence[str]) -> DesignPoint | None:
        chip, system, settings = design.chip, design.system, dict(design.settings)
        for key, text in zip(keys, values, strict=True):
            owner, _, path = key.partition(".")
            try:
                if owner == "chip":
                    chip, settings[key] = set_field(chip, path, text)
                else:
                    system, settings[key] = set_field(system, path, text)
            except RequestError as error:
                self.wrong[f"`{key}={text}` on `{design.chip.name}`: {error}"] = None
                return None
        return DesignPoint(design.network, chip, system, settings)

    def _check_key(self, key: str, keys: Sequence[str]) -> None:
        if keys.count(key) > 1:
            raise RequestError(f"The axis `{key}` is given twice; put its values in one.")
        owned = {f"chip.{path}" for fields in self.fields.values() for path in fields}
        owned -= {"chip.technology", "chip.name"}
        axes = {"network", "chip", *owned, *(f"system.{path}" for path in paths(System))}
        if key not in axes:
            by_leaf = sorted(path for path in axes if path.rpartition(".")[2] == key)
            hint = f"Did you mean `{by_leaf[0]}`?" if by_leaf else nearest(key, axes)
            raise RequestError(f"Unknown axis `{key}`. {hint}")

    def check(self) -> None:
        """Raises `RequestError` for what was wrong with any design, before one is measured."""
        nowhere = [key for key in self.idle if key not in self.said]
        if nowhere:
            raise RequestError(f"No point has {_list(nowhere)}: {self._why(nowhere[0])}.")
        if self.wrong:
            first, more = list(self.wrong)[:8], len(self.wrong) - 8
            raise RequestError("\n".join([*first, *([f"and {more} more."] if more > 0 else [])]))

    def notes(self) -> list[str]:
        return [f"`{key}` says nothing at some points: {self._why(key)}." for key in self.idle]

    def assumptions(self) -> list[str]:
        what = (
            "is taken as calibrated away, where no axis sets it" if self.calibrated else "stays: nothing was calibrated"
        )
        return [f"{_list(list(fields))} of {name} chips {what}." for name, fields in self.errors.items() if fields]

    def _why(self, key: str) -> str:
        return " and ".join(f"a {technology} chip" for technology in self.idle[key]) + " has no such field"


def _check_size(axes: Sequence[Axis]) -> None:
    size = math.prod(len(axis.values) for axis in axes)
    if size > MOST_POINTS:
        raise RequestError(f"The axes make {size} points, and a sweep takes {MOST_POINTS}; shorten an axis.")


def _key(design: DesignPoint) -> str:
    return repr((design.network, design.settings))


def _constant(constant: Constant, rest: str, text: str) -> tuple[Constant, float]:
    if rest not in ("", "value"):
        raise RequestError(f"a constant has a `value` in {constant.unit} and no `{rest}`")
    source = f"set by the sweep in the place of {constant.value:g}: {constant.source}"
    changed = constant.replace(value=_read(text), source=source, doi="", status="assumed", confidence="C")
    return changed, changed.value


def _read(text: str) -> Any:
    """What pydantic turns into the field's type; a list is read as one, and `none` as None."""
    if text.lower() in _NOTHING:
        return None
    if text.startswith("[") and text.endswith("]"):
        return [_read(part.strip()) for part in _split(text[1:-1])]
    return text


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _list(names: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON holds them."""
    return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}
