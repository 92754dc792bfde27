"""The hidden errors of the devices of meshes: what there is, which knob of the chip it has, and how it is drawn.

A new error is a line of `HIDDEN_ERRORS`, with its fields in `MeshErrors`, for one specimen and for many alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from lightloom.chips.draws import Draws, Place
from lightloom.physics import phases
from lightloom.physics.phases import Imperfections


class MeshErrors(NamedTuple):
    """Errors of the devices of one tensor core; None where the chip has no such error, which is the default of each.

    A field is named after the part of the core, meshes U and V or attenuators sigma, and the field of
    `physics.phases.Imperfections`. Shapes: [..., n] for meshes of n phase shifters, [..., k] for attenuators.
    """

    u_gamma: Tensor | None = None
    """True over nominal drive coefficients of U's phase shifters."""
    v_gamma: Tensor | None = None
    """True over nominal drive coefficients of V's phase shifters."""
    sigma_gamma: Tensor | None = None
    """True over nominal drive coefficients of the attenuators."""
    u_bias: Tensor | None = None
    """Static phases of U's phase shifters in rad."""
    v_bias: Tensor | None = None
    """Static phases of V's phase shifters in rad."""

    def of(self, part: str) -> Imperfections:
        """What is wrong with the devices of one part, "u", "v" or "sigma"."""
        return imperfections(part, lambda name: getattr(self, name))

    def map(self, change: Callable[[Tensor], Tensor]) -> MeshErrors:
        """The same errors with each tensor changed, such as moved to another device."""
        return MeshErrors(*(None if error is None else change(error) for error in self))


class HiddenError(NamedTuple):
    """One kind of error."""

    name: str
    """Field of `physics.phases.Imperfections`."""
    parts: tuple[str, ...]
    """Parts of a core whose devices have it: "u" and "v" are its meshes, "sigma" its attenuators."""
    knob: str
    """Field of the chip that switches it off at 0."""
    draw: Callable[[Draws, Place, tuple[int, ...], Any], Tensor]
    """The law: random numbers, place and number of the devices, and the chip, to errors."""


HIDDEN_ERRORS: tuple[HiddenError, ...] = (
    HiddenError(
        "gamma",
        ("u", "v", "sigma"),
        "gamma_std",
        lambda draws, place, shape, chip: draws.deviations(place, shape, chip.gamma_std / phases.gamma(chip.v_pi)),
    ),
    HiddenError(
        "bias",
        ("u", "v"),
        "phase_bias",
        lambda draws, place, shape, chip: draws.uniform(place, shape).mul_(chip.phase_bias),
    ),
)


def draw(chip: Any, draws: Draws, core: str, blocks: tuple[int, ...], shifters: int) -> MeshErrors:
    """Errors of one tensor core on one specimen, or [S, ...] on many.

    Args:
        chip: The design, a `MeshChip`.
        draws: Random numbers of the specimen, or of the specimens.
        core: Name of the core, its place on the chip.
        blocks: Leading dimensions: how many blocks it has.
        shifters: Phase shifters per mesh.
    """
    devices = {"u": shifters, "v": shifters, "sigma": chip.block_size}
    return MeshErrors(
        **{
            f"{part}_{error.name}": error.draw(draws, (core, part, error.name), (*blocks, devices[part]), chip)
            for error in HIDDEN_ERRORS
            if getattr(chip, error.knob) != 0
            for part in error.parts
        }
    )


def imperfections(part: str, read: Callable[[str], Tensor | None]) -> Imperfections:
    """What is wrong with the devices of one part, "u", "v" or "sigma", from where `MeshErrors` are stored by name.

    Args:
        part: Which devices.
        read: Gives the error that has a name of `MeshErrors`.
    """
    names = ((name, f"{part}_{name}") for name in Imperfections._fields)
    return Imperfections(**{name: read(stored) for name, stored in names if stored in MeshErrors._fields})
