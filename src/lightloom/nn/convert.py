"""From any network to the same network on a chip, with a report of what happened to each layer."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.errors import RequestError, nearest
from lightloom.nn.core import Mode
from lightloom.nn.layers import OpticalConv2d, OpticalLayer, OpticalLinear, switch

Rule = str | type[nn.Module] | Callable[[str, nn.Module], bool]
"""Chooses layers: a name or glob ("features.*"), a type, or a predicate of name and module."""


@dataclass(frozen=True)
class LayerReport:
    """What conversion did with one layer."""

    name: str
    kind: str
    converted: bool
    reason: str
    """Why it stayed electronic; empty where it was converted."""
    shape: tuple[int, ...]
    """Of its weight."""
    blocks: tuple[int, ...] = ()
    """(groups, p, q): how many k x k blocks hold the weight."""
    block_size: int = 0
    mzis: int = 0
    cells: int = 0
    """PCM cells that hold a weight."""
    weight_error: float = 0.0
    """||made - wanted||^2 / ||wanted||^2 on perfect devices: of decomposing into meshes, or of rounding to levels."""
    errors: dict[str, float] = field(default_factory=dict)
    """The same on the real devices, after each stage of a run."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a run folder."""
        return asdict(self)


@dataclass(frozen=True)
class Conversion:
    """A converted model and the report of its layers, in the order of the model."""

    model: nn.Module
    layers: list[LayerReport]


def convert(
    model: nn.Module,
    chip: Chip,
    *,
    only: Rule | Iterable[Rule] | None = None,
    skip: Rule | Iterable[Rule] | None = None,
    mode: Mode | None = None,
    inplace: bool = False,
) -> Conversion:
    """Put the linear and convolution layers of a model onto a chip's tensor cores.

    Each layer is programmed to its weight, by exact decomposition or to the nearest levels; a module that is used in
    several places stays shared. Whatever is not converted stays as it is, and the report says why.

    Args:
        model: Any module; the root itself may be a layer.
        chip: The hardware.
        only: Rules that choose the layers to convert; None is all of them.
        skip: Rules that keep layers electronic; they win over `only`.
        mode: What trains afterwards, see `Mode`; None is the technology's usual: singular values, or levels.
        inplace: Change `model` itself instead of a copy.

    Raises:
        RequestError: A rule given by name matches nothing, or a weight holds NaN or Inf.
    """
    model = model if inplace else copy.deepcopy(model)
    chosen = _Choice(model, only, skip)
    made: dict[nn.Module, OpticalLayer] = {}
    reports = []
    for name, module in _weighted(model):
        reason = chosen.why_not(name, module)
        if reason:
            reports.append(_electronic(name, module, reason))
            continue
        made[module] = _convert_layer(name, module, chip)
        reports.append(_optical(name, module, made[module]))
    model = _replace(model, made)
    if mode is not None:
        switch(model, mode)
    return Conversion(model, reports)


def to_electronic(model: nn.Module, *, inplace: bool = False) -> nn.Module:
    """The reverse: every optical layer becomes a torch layer with the effective weight that the chip makes."""
    model = model if inplace else copy.deepcopy(model)
    return _replace(model, {m: m.to_electronic() for m in model.modules() if isinstance(m, _OPTICAL)})


_CONVERTERS: dict[type[nn.Module], type[OpticalLinear] | type[OpticalConv2d]] = {
    nn.Linear: OpticalLinear,
    nn.Conv2d: OpticalConv2d,
}
_OPTICAL = (OpticalLinear, OpticalConv2d)


class _Choice:
    """Decides layer by layer, and says why not."""

    def __init__(
        self, model: nn.Module, only: Rule | Iterable[Rule] | None, skip: Rule | Iterable[Rule] | None
    ) -> None:
        self.only = None if only is None else _rules(only)
        self.skip = _rules(skip)
        modules = dict(model.named_modules())
        _check_names((*(self.only or ()), *self.skip), [name for name in modules if name])
        self.users = Counter(
            id(parameter) for module in modules.values() for parameter in module.parameters(recurse=False)
        )
        self.inside_attention = {
            id(child) for m in modules.values() if isinstance(m, nn.MultiheadAttention) for child in m.modules()
        }

    def why_not(self, name: str, module: nn.Module) -> str:
        """Empty where the layer can and should be converted."""
        if isinstance(module, OpticalLayer):
            return "already optical"
        if id(module) in self.inside_attention:
            return "torch's MultiheadAttention reads its weights itself"
        if isinstance(getattr(module, "weight", None), nn.UninitializedParameter):
            return "not initialised yet; pass one batch through the model first"
        if type(module) not in _CONVERTERS:
            known = next((kind.__name__ for kind in _CONVERTERS if isinstance(module, kind)), None)
            return f"a subclass of {known} may compute something else" if known else "no matrix form for this chip"
        if self.users[id(module.weight)] > 1:
            return "its weight is tied to another layer's; converting would untie them"
        if any(_matches(rule, name, module) for rule in self.skip):
            return "skipped by request"
        if self.only is not None and not any(_matches(rule, name, module) for rule in self.only):
            return "not among the layers asked for"
        return ""


def _rules(given: Rule | Iterable[Rule] | None) -> tuple[Rule, ...]:
    if given is None:
        return ()
    if isinstance(given, str | type) or callable(given):
        return (given,)
    return tuple(given)


def _matches(rule: Rule, name: str, module: nn.Module) -> bool:
    if isinstance(rule, str):
        return fnmatchcase(name, rule) or name.startswith(f"{rule}.")
    if isinstance(rule, type):
        return isinstance(module, rule)
    return rule(name, module)


def _check_names(rules: Iterable[Rule], names: list[str]) -> None:
    for rule in rules:
        if isinstance(rule, str) and not any(fnmatchcase(name, rule) for name in names):
            raise RequestError(f"No layer is called `{rule}`. {nearest(rule, names)}")


def _weighted(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules that hold parameters of their own, each once, a core not apart from its layer."""
    for name, module in model.named_modules():
        inside_optical = any(isinstance(model.get_submodule(p), OpticalLayer) for p in _parents(name))
        if not inside_optical and (isinstance(module, OpticalLayer) or any(True for _ in module.parameters(False))):
            yield name, module


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _convert_layer(name: str, module: nn.Module, chip: Chip) -> OpticalLayer:
    weight = module.weight
    if not isinstance(weight, Tensor) or not torch.isfinite(weight).all():
        raise RequestError(f"The weight of layer `{name}` holds NaN or Inf; mend the model before it is converted.")
    made = _CONVERTERS[type(module)].from_electronic(module, chip, name or "root")  # type: ignore[arg-type]
    return made.train(module.training)


def _replace(model: nn.Module, made: dict[nn.Module, Any]) -> nn.Module:
    """Put each new module wherever the old one is used, the root included."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children() shows a module used twice only once
            if child in made:
                setattr(parent, name, made[child])
    root: nn.Module = made.get(model, model)
    return root


def _electronic(name: str, module: nn.Module, reason: str) -> LayerReport:
    weight = getattr(module, "weight", None)
    uninitialised = isinstance(weight, nn.UninitializedParameter)
    shape = () if not isinstance(weight, Tensor) or uninitialised else tuple(weight.shape)
    return LayerReport(name, type(module).__name__, False, reason, shape)


def _optical(name: str, module: nn.Module, made: OpticalLayer) -> LayerReport:
    core, weight = made.core, module.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"layer `{name}` has no weight tensor")
    with torch.no_grad():
        wanted = weight.flatten(1)
        power = float(wanted.square().sum())
        distance = float((core.ideal_weight() - wanted).square().sum())
    return LayerReport(
        name=name,
        kind=type(module).__name__,
        converted=True,
        reason="",
        shape=tuple(weight.shape),
        blocks=core.blocks,
        block_size=core.chip.block_size,
        mzis=core.counts(1).mzis,
        cells=core.counts(1).cells,
        weight_error=distance / power if power else distance,
    )
