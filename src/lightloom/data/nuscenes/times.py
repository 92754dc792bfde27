"""The unit of the times in a description of own data, told by their size; microseconds are what tables hold.

Times in s are the rule. Others are told by two signs: the size of the numbers, where they count from 1970 as clocks
do, and how far apart frames are, since cameras of a drive take between two hundred images a second and one in ten.
Where the signs disagree, or fit two units, the times are refused, and `times_in` settles it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from lightloom.common.errors import RequestError

Unit = Literal["s", "ms", "us", "ns"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Number = int | float

LARGEST = 10**19
"""No clock that counts nanoseconds from 1970 has got so far."""
_PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_CLOCK = (10**8, 10**10)  # s since 1970: from 1973 to 2286
_CLOSEST, _SLOWEST = 5e-3, 10.0  # s between frames that are taken for seconds without a question
_LONGEST = 1e4  # s between frames of times since 1970
_DOUBTFUL = 100.0  # up to here numbers are a slow drive in s, or a fast one in ms
_UNEVEN = 100.0  # times the smallest gap: a longer one is a change of unit, or a pause
_LATEST = 10**17  # us since 1970: the year 5138
_CAPTURE = 10.0  # s between a frame and an image of it
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def as_number(value: Any) -> Number:
    """A time as it was written: whole numbers stay whole, which keeps all digits of nanoseconds.

    Raises:
        ValueError: It is no number, not finite, or too large for a time.
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        text = value.strip()
        value = int(text) if re.fullmatch(r"[-+]?\d{1,20}", text) else float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number, such as seconds since the drive began")
    if not abs(value) < LARGEST:
        raise ValueError(f"should be finite and below {LARGEST:.0e}")
    return value


@dataclass(frozen=True)
class Clock:
    """How times of a description become microseconds."""

    unit: Unit = "s"
    frame_rate: float | None = None
    """Frames per second where times count frames."""

    def microseconds(self, time: Number) -> int:
        """The same time in whole microseconds."""
        if self.frame_rate is not None:
            return round(time * 1e6 / self.frame_rate)
        if isinstance(time, int):  # to the last digit
            return (time * 10**6 * 2 + _PER_SECOND[self.unit]) // (2 * _PER_SECOND[self.unit])
        return round(time * (1e6 / _PER_SECOND[self.unit]))


def clock_of(times: Mapping[str, Sequence[Number]], times_in: Unit | None, frame_rate: float | None) -> Clock:
    """How the times of all scenes are meant.

    Args:
        times: Of the frames of each scene, by its name, in their order.
        times_in: The unit, where the description says it.
        frame_rate: Frames per second, where the description says that times count frames.

    Raises:
        RequestError: Scenes have different units, times of one scene are mixed, or fit two units or none.
    """
    if times_in is not None or frame_rate is not None:
        return Clock(times_in or "s", frame_rate)
    units = {scene: _unit_of(f"Scene `{scene}`", value) for scene, value in times.items()}
    first = next((scene for scene, unit in units.items() if unit), None)
    other = next((scene for scene, unit in units.items() if unit and first and unit != units[first]), None)
    if first is not None and other is not None:
        one, two = (_WORDS[str(units[scene])] for scene in (first, other))
        raise RequestError(
            f"The times of scene `{first}` look like {one} ({_few(times[first])}), those of scene `{other}` like {two} "
            f"({_few(times[other])}). Give all in one unit, or say by `times_in` which it is: {_choices()}."
        )
    return Clock((units[first] if first is not None else None) or "s")


def check_capture(place: str, clock: Clock, frame: Number, capture: Number) -> None:
    """See that an image was taken near the moment of its frame.

    Args:
        place: Scene, frame and camera, for the message.
        clock: Unit of the times.
        frame: Time of the frame.
        capture: Time of the image.

    Raises:
        RequestError: The two are too far apart.
    """
    away = abs(clock.microseconds(capture) - clock.microseconds(frame)) * 1e-6
    if away > _CAPTURE:
        raise RequestError(
            f"{place}: `time` {capture} is {away:g} s away from the {frame} of its frame; cameras take their images "
            "near that moment, and all times are in one unit and count from one start. Give it as the frame's is."
        )


def check_microseconds(place: str, times: Sequence[int]) -> None:
    """See that the times of a scene in tables can be microseconds.

    Args:
        place: What they are of, for the message.
        times: Of its samples, in their order.

    Raises:
        RequestError: They are too large, or samples would follow each other faster or slower than in any drive.
    """
    gaps = [after - before for before, after in pairwise(times) if after > before]
    typical = float(np.median(gaps)) if gaps else None
    seconds = typical and typical * 1e-6
    if max(map(abs, times), default=0) >= _LATEST or (seconds and not _CLOSEST <= seconds <= _DOUBTFUL):
        apart = "" if seconds is None else f", and samples would be {seconds:g} s apart"
        unit_by_gap = next((unit for unit in UNITS if typical and unit == _by_gap(typical) and unit != "us"), None)
        guess = (
            f" They look like {_WORDS[unit_by_gap]}: multiply them by {1e6 / _PER_SECOND[unit_by_gap]:g}."
            if unit_by_gap
            else ""
        )
        raise RequestError(
            f"{place}: the timestamps ({_few(times)}) should be in microseconds{apart}, which is no drive.{guess} "
            "Samples that do not follow each other belong into scenes of their own."
        )


def counts_frames(times: Sequence[Number]) -> bool:
    """Whether times may be numbers of frames: whole, one apart, and not counted from 1970."""
    whole = all(isinstance(each, int) and _shown_by(each) is None for each in times)
    return whole and len(times) > 1 and all(after - before == 1 for before, after in pairwise(times))


def _unit_of(place: str, times: Sequence[Number]) -> Unit | None:
    """The unit of one scene; None where nothing depends on it."""
    clocks = {_shown_by(each) for each in times}
    clock = clocks.pop() if len(clocks) == 1 else None
    gaps = [after - before for before, after in pairwise(times) if after > before]
    if not gaps:
        return clock
    typical = float(np.median(gaps))
    if clock is None and max(gaps) >= _UNEVEN * min(gaps):
        why = f"frames are {min(gaps):g} to {max(gaps):g} apart, so the unit changes, or there is a long pause"
        raise _unclear(place, times, why)
    by_gap = _by_gap(typical)
    if clock is not None and by_gap in (None, clock) and _CLOSEST <= typical / _PER_SECOND[clock] <= _LONGEST:
        return clock
    if clock is not None:
        reading = f"as times since 1970 they are {_WORDS[clock]}, and frames would be {_apart(typical, clock)} apart"
        other = f"; as {_WORDS[by_gap]} frames are {_apart(typical, by_gap)} apart" if by_gap else ""
        raise _unclear(place, times, reading + other)
    if by_gap is None:
        both = " or ".join(f"{_apart(typical, unit)} in {_WORDS[unit]}" for unit in UNITS[:2])
        raise _unclear(place, times, f"frames are {typical:g} apart, which is {both}")
    if by_gap in ("us", "ns") and not all(float(each).is_integer() for each in times):
        raise _unclear(
            place, times, f"frames are {typical:g} apart, like {_WORDS[by_gap]}, and some times are not whole"
        )
    return by_gap


def _by_gap(gap: float) -> Unit | None:
    """The unit in which frames so far apart are those of a drive; None where that is none, or either of two."""
    if _CLOSEST <= gap <= _SLOWEST:
        return "s"
    if gap < _DOUBTFUL:
        return None
    return next((unit for unit in UNITS[1:] if gap <= _SLOWEST * _PER_SECOND[unit]), None)


def _shown_by(time: Number) -> Unit | None:
    """The unit in which a number is a time since 1970, as clocks show it."""
    low, high = _CLOCK
    return next((unit for unit in UNITS if low <= abs(time) / _PER_SECOND[unit] < high), None)


def _unclear(place: str, times: Sequence[Number], why: str) -> RequestError:
    return RequestError(
        f"{place}: the unit of its times ({_few(times)}) is not clear: {why}. Say it at the top of the description by "
        f"`times_in`: {_choices()}; or give `frame_rate`, in frames per second, where times count frames."
    )


def _apart(gap: float, unit: Unit) -> str:
    return f"{gap / _PER_SECOND[unit]:g} s"


def _few(times: Sequence[Number]) -> str:
    return ", ".join(map(str, times[:3])) + (" ..." if len(times) > 3 else "")


def _choices() -> str:
    return ", ".join(f"`{unit}`" for unit in UNITS)
