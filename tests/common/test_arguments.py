"""Arguments of public functions: what fits passes as it is, what does not is refused by name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from lightloom.common.arguments import checked, expected, fits
from lightloom.common.checks import real_number, seed_number, shown, whole_number
from lightloom.common.errors import RequestError

GOOD: list[tuple[object, object]] = [
    (3, int),
    (np.int64(3), int),
    (torch.tensor(3), int),
    (3, float),
    (np.float32(1.5), float),
    (float("inf"), float),
    (True, bool),
    (None, int | None),
    ("a", Literal["a", "b"]),
    ([1, 2], Sequence[int]),
    (range(4), Sequence[int]),
    ((1, 2), tuple[int, int]),
    ([(1, 2)], Iterable[tuple[int, int]]),
    ({"a": 1}, Mapping[str, int]),
    (len, Callable[[str], int]),
    (nn.Linear, type[nn.Module]),
    ("x/y", Path),
]
BAD: list[tuple[object, object]] = [
    (True, int),
    (1.0, int),
    ("1", int),
    (2**70, int),
    (float("nan"), float),
    ("1", float),
    (10**400, float),
    (1, bool),
    (None, int),
    (3, Literal["a", "b"]),
    ("ab", Sequence[str]),
    ([1, "a"], Sequence[int]),
    (nn.Sequential(), Sequence[int]),
    ((1, 2, 3), tuple[int, int]),
    ({"a": "b"}, Mapping[str, int]),
    (3, Callable[[str], int]),
    (nn.Linear(1, 1), type[nn.Module]),
    (3, Path),
    ("", Path),
    (nn.Linear, nn.Module),
]


@pytest.mark.parametrize(("value", "hint"), GOOD, ids=str)
def test_what_fits(value: object, hint: object) -> None:
    assert fits(value, hint)


@pytest.mark.parametrize(("value", "hint"), BAD, ids=lambda part: shown(part) if isinstance(part, int) else str(part))
def test_what_does_not_fit(value: object, hint: object) -> None:
    assert not fits(value, hint)
    assert expected(hint)


def test_a_call_names_argument_value_and_expectation() -> None:
    @checked
    def halve(model: nn.Module, folder: Path, count: int = 2) -> Path:
        return folder

    assert halve(nn.Identity(), "a/b") == Path("a/b")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"`model` is 3 \(int\); `halve` takes a `torch.nn.Module`"):
        halve(3, Path())  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="`count` is True"):
        halve(nn.Identity(), Path(), count=True)
    with pytest.raises(TypeError, match="missing"):
        halve(nn.Identity())  # type: ignore[call-arg]


@pytest.mark.parametrize("seed", [-1, 1.5, True, None, "a", "3", [1], 2**63, float("nan"), object()])
def test_what_is_no_seed(seed: object) -> None:
    with pytest.raises(RequestError, match="`seed` is"):
        seed_number(seed)


def test_numbers_come_back_as_python_s_own() -> None:
    assert type(seed_number(np.uint8(7))) is int
    assert type(real_number(np.float32(0.5), "share")) is float
    with pytest.raises(RequestError, match="from 1 to 4"):
        whole_number(5, "count", least=1, most=4)
    with pytest.raises(RequestError, match="above 0"):
        real_number(0, "rate", above=True)
