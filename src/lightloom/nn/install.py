"""A converted model as a whole: moved onto a manufactured chip, and told what trains."""

from __future__ import annotations

from torch import nn

from lightloom.chips import Chip, Specimen
from lightloom.common.arguments import checked
from lightloom.common.checks import seed_number
from lightloom.common.errors import RequestError
from lightloom.nn.core import Mode, TensorCore
from lightloom.nn.inference import normal_tensors
from lightloom.nn.layers import optical_layers


@checked
@normal_tensors()
def install(model: nn.Module, specimen: Specimen | int | None) -> None:
    """Move every optical layer of `model` onto a manufactured chip.

    Args:
        model: With optical layers.
        specimen: The chip; a seed is the specimen with this seed of each layer's own chip, for models of several
            chips; None is chips without hidden errors.

    Raises:
        RequestError: The model has no optical layer, or one of them is on other hardware than the specimen is of;
            nothing is installed then.
    """
    cores = _cores_to(model, "install")
    if specimen is None or isinstance(specimen, Specimen):
        for core in cores:
            core.check_specimen(specimen)
        for core in cores:
            core.install(specimen)
        return
    seed = seed_number(specimen, "specimen", "It is a seed, a specimen such as `chip.specimen(0)`, or None.")
    specimens: dict[Chip, Specimen] = {}
    for core in cores:
        core.install(specimens.setdefault(core.chip, core.chip.specimen(seed)))


@checked
@normal_tensors()
def switch(model: nn.Module, mode: Mode) -> None:
    """Choose what trains in every optical layer of `model`, see `Mode`.

    Args:
        model: With optical layers.
        mode: A mode that each of its cores has.

    Raises:
        RequestError: The model has no optical layer.
        ValueError: A core has no such mode; nothing is switched then.
    """
    cores = _cores_to(model, "switch")
    for core in cores:
        core.check_mode(mode)
    for core in cores:
        core.switch(mode)


def _cores_to(model: nn.Module, verb: str) -> list[TensorCore]:
    """Each once, though layers with tied weights share one; what has none cannot be meant."""
    cores = list(dict.fromkeys(layer.core for layer in optical_layers(model).values()))
    if not cores:
        raise RequestError(
            f"There is nothing to {verb}: this {type(model).__name__} has no layer on tensor cores. Convert it first, "
            "`model = nn.convert(model, chip).model`, which leaves the model that it is given as it was; masks of "
            "diffractive layers are moved by `nn.misalign`."
        )
    return cores
