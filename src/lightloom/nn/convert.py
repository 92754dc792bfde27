"""From any network to the same network on chips, with a report of what happened to each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.chips.technologies import labels
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.nn.attention import Attention, close_shortcuts, open_shortcuts
from lightloom.nn.conversion_report import LayerReport, table
from lightloom.nn.copies import copy_of
from lightloom.nn.core import Mode, TensorCore
from lightloom.nn.effective import DirectRead, direct_reads, summary
from lightloom.nn.inference import normal_tensors
from lightloom.nn.install import switch
from lightloom.nn.layers import OpticalLayer
from lightloom.nn.matrix_form import matrix_of, to_optical
from lightloom.nn.plan import Planned, decide
from lightloom.nn.references import replace_modules
from lightloom.nn.rules import Placement, Rules


@dataclass(frozen=True)
class Conversion:
    """A converted model and the report of its layers, in the order of the model."""

    model: nn.Module
    layers: list[LayerReport]
    purpose: ClassVar[str] = "what conversion returns: the network is its `.model`"

    @property
    def reads(self) -> list[DirectRead]:
        """Modules that computed with an optical layer's weight themselves, past the converters, in passes so far."""
        return direct_reads(self.model)

    def __str__(self) -> str:
        """A table of the layers, their sums, and after a forward pass who reads weights past the converters."""
        return "\n".join([table(self.layers), *summary(self.reads)])


@checked
@normal_tensors()
def convert(
    model: nn.Module,
    chip: Chip | str | None,
    *,
    only: Rules = None,
    skip: Rules = None,
    places: Placement = (),
    mode: Mode | None = None,
    untie: bool = False,
    inplace: bool = False,
) -> Conversion:
    """Put the matrix layers of a model onto the tensor cores of a chip, or of several.

    Linear layers, 1-D and 2-D convolutions with any groups, the `Conv1D` of transformers, and the projections inside
    torch's multi-head attention are programmed to their weights, by exact decomposition or to the nearest levels. A
    module that is used in several places stays shared; layers that share a weight share a core. Whatever is not
    converted stays as it is, and the report says why.

    Cores hold float32, or float64 where the layer does; a model of half precision keeps it outside of them. What trains
    on a chip is what its `mode` says, whether the electronic weight was frozen or not.

    Args:
        model: Any module; the root itself may be a layer.
        chip: The hardware, or the name of a preset; None where `places` names all there is.
        only: Rules that choose the layers to convert; None is all of them.
        skip: Rules that keep layers electronic; they win over everything else.
        places: Other places than `chip`, by rule: a chip, or None for electronics. The first rule that matches wins.
        mode: What trains afterwards, see `Mode`; None is the technology's usual: singular values, or levels.
        untie: Convert a layer, with a copy, whose weight is tied to one that cannot share its core, such as an
            embedding. Otherwise it stays electronic.
        inplace: Change `model` itself instead of a copy.

    Raises:
        RequestError: A rule given by name matches nothing, no chip is given at all or something else than a chip with
            tensor cores, or a weight holds NaN or Inf.
    """
    if chip is None and not places:
        raise RequestError("There is no chip to convert to; give `chip`, or `places` with one.")
    model = model if inplace else copy_of(model)
    layers, opened = decide(model, chip, only=only, skip=skip, places=places, untie=untie)
    names = labels(layer.chip for layer in layers if layer.chip is not None)
    optical: dict[str, OpticalLayer] = {}
    reports = []
    for layer in layers:
        if layer.chip is None:
            reports.append(_electronic(layer))
            continue
        optical[layer.name] = _converted(layer, layer.chip, optical[layer.tied_to].core if layer.tied_to else None)
        reports.append(_optical(layer, names[layer.chip], optical[layer.name]))
    model = replace_modules(model, opened)
    model = replace_modules(model, {layer.module: optical[layer.name] for layer in layers if layer.name in optical})
    close_shortcuts(model, OpticalLayer)
    if mode is not None and optical:
        switch(model, mode)
    return Conversion(model, reports)


@checked
def to_electronic(model: nn.Module, *, inplace: bool = False) -> nn.Module:
    """The reverse: every optical layer becomes the layer that it was made of, with the effective weight of the chip.

    Args:
        model: Any module.
        inplace: Change `model` itself instead of a copy.

    Raises:
        RequestError: It is no `torch.nn.Module`.
    """
    model = model if inplace else copy_of(model)
    electronic: dict[nn.Module, nn.Module] = {}
    weights: dict[TensorCore, nn.Parameter] = {}
    for layer in model.modules():
        if isinstance(layer, OpticalLayer):
            electronic[layer] = _brought_back(layer, weights)
    model = replace_modules(model, electronic)
    model = replace_modules(model, {m: m.to_electronic() for m in model.modules() if isinstance(m, Attention)})
    open_shortcuts(model)
    return model


def _brought_back(layer: OpticalLayer, weights: dict[TensorCore, nn.Parameter]) -> nn.Module:
    """An electronic layer; one core becomes one weight, however many layers share it."""
    plain = layer.to_electronic()
    plain.register_parameter("weight", weights.setdefault(layer.core, nn.Parameter(plain.get_parameter("weight"))))
    plain.register_parameter("bias", layer.bias)  # the very same, which others may share
    return plain


def _converted(layer: Planned, chip: Chip, core: TensorCore | None) -> OpticalLayer:
    if not torch.isfinite(layer.module.get_parameter("weight")).all():
        raise RequestError(
            f"The weight of layer `{layer.name}` holds NaN or Inf; mend the model before it is converted."
        )
    optical = to_optical(layer.module, chip, layer.name or "root", core)
    optical.register_parameter("bias", layer.module._parameters["bias"])  # the very same, which others may share
    return optical


def _electronic(layer: Planned) -> LayerReport:
    weight = getattr(layer.module, "weight", None)
    uninitialised = isinstance(weight, nn.UninitializedParameter)
    shape = () if not isinstance(weight, Tensor) or uninitialised else tuple(weight.shape)
    return LayerReport(layer.name, type(layer.module).__name__, False, layer.reason, shape)


def _optical(layer: Planned, chip: str, optical: OpticalLayer) -> LayerReport:
    core, own = optical.core, not layer.tied_to
    counts = core.counts(1)
    return LayerReport(
        name=layer.name,
        kind=type(layer.module).__name__,
        converted=True,
        reason="",
        shape=tuple(layer.module.get_parameter("weight").shape),
        blocks=core.blocks,
        block_size=core.chip.block_size,
        mzis=counts.mzis if own else 0,
        cells=counts.cells if own else 0,
        weight_error=_weight_error(layer, optical),
        chip=chip,
        technology=core.chip.technology,
        tied_to=layer.tied_to,
    )


@torch.no_grad()
def _weight_error(layer: Planned, optical: OpticalLayer) -> float:
    ideal = optical.core.ideal_weight()
    weight = matrix_of(layer.module).to(ideal)
    power, distance = float(weight.square().sum()), float((ideal - weight).square().sum())
    return distance / power if power else distance
