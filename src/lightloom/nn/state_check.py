"""What weights from a file must be before a core takes them: finite, and within what its devices can be told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.physics.pcm.schedule import Schedule, check
from lightloom.physics.phases import TWO_PI

_log = logging.getLogger("lightloom")
_ROUNDING = 1e-5
"""What single precision leaves of a phase at the ends of a turn, in rad."""
_MOST_TURNS = 1000
"""A phase of more whole turns has lost its digits in single precision; no training moves one so far."""


def _own(state: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    entries = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in entries.items() if "." not in key and isinstance(value, Tensor)}


def _check_finite(core: str, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            raise RequestError(
                f"`{name}` of core `{core}` holds NaN or Inf in these weights, so they are damaged. Take others."
            )


def check_mesh_state(core: str, state: Mapping[str, Any], prefix: str, *, trains: bool) -> None:
    """Refuse settings that no mesh can have, and say where phases lie beyond one turn.

    Args:
        core: Its name, for messages.
        state: As for `load_state_dict`.
        prefix: Of the core's tensors in it.
        trains: Whether phases train, so that beyond one turn is usual.

    Raises:
        RequestError: A value is not finite, a phase is further than 1000 turns, a gain negative, or a sign none.
    """
    tensors = {name: tensor for name, tensor in _own(state, prefix).items() if not tensor.is_meta}
    _check_finite(core, tensors)
    for name in ("u_phases", "v_phases"):
        phases = tensors.get(name, torch.zeros(1))
        least, most = (float(end) for end in phases.aminmax()) if phases.numel() else (0.0, 0.0)
        if max(-least, most) > _MOST_TURNS * TWO_PI:
            raise RequestError(
                f"`{name}` of core `{core}` reaches {max(-least, most):.3g} rad in these weights; a phase is from 0 to "
                "2 pi. They are damaged, or of something else: take others."
            )
        if (least < -_ROUNDING or most > TWO_PI + _ROUNDING) and not trains:
            _log.warning(
                "`%s` of core `%s` has phases from %.3g to %.3g rad in these weights; a drive takes them modulo 2 pi.",
                name,
                core,
                least,
                most,
            )
    if bool((tensors.get("gain", torch.zeros(1)) < 0).any()):
        raise RequestError(f"`gain` of core `{core}` is negative in these weights; a gain is 0 or more. Take others.")
    if bool((tensors.get("u_signs", torch.ones(1)).abs() != 1).any()):
        raise RequestError(f"`u_signs` of core `{core}` are not all 1 or -1 in these weights. Take others.")


def check_pcm_state(core: str, state: Mapping[str, Any], prefix: str, columns: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse a state that no crossbar can have.

    Args:
        core: Its name, for messages.
        state: As for `load_state_dict`.
        prefix: Of the core's tensors in it.
        columns: Which column sits where as they come.
        shape: Groups, and rows and columns of each.

    Raises:
        RequestError: A value is not finite, the gain not positive, or a row has no array row or several.
    """
    tensors = {name: tensor for name, tensor in _own(state, prefix).items() if not tensor.is_meta}
    _check_finite(core, tensors)
    if bool((tensors.get("gain", torch.ones(1)) <= 0).any()):
        raise RequestError(f"`gain` of core `{core}` is not above 0 in these weights. Take others.")
    rows = tensors.get("array_rows")
    if rows is None or rows.shape[:1] != columns.shape[:1]:
        return  # `load_state_dict` says what is missing, or of another shape
    if rows.is_floating_point():
        raise RequestError(f"`array_rows` of core `{core}` are no integers in these weights. Take others.")
    try:
        check(Schedule(rows.cpu(), columns.cpu()), *shape)
    except (ValueError, RuntimeError, IndexError) as error:
        raise RequestError(f"`array_rows` of core `{core}` fit no such matrix in these weights: {error}") from None
