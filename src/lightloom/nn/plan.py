"""What conversion will do with each layer, and why; nothing is programmed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import nn
from torch.nn.utils import parametrize

from lightloom.chips import Chip
from lightloom.common.arguments import checked
from lightloom.nn.attention import Attention
from lightloom.nn.belongings import why_left_behind
from lightloom.nn.copies import copy_of
from lightloom.nn.layers import PRECISIONS, OpticalLayer
from lightloom.nn.matrix_form import form_of, is_quantised, unsupported_reason
from lightloom.nn.references import replace_modules, tensors_in_attributes
from lightloom.nn.rules import LayerSite, Placement, PlacementPolicy, Rules


@dataclass(frozen=True)
class Planned:
    """One layer, and where it goes."""

    name: str
    module: nn.Module
    """The layer in the prepared model."""
    chip: Chip | None
    reason: str
    """Why it stays electronic; empty where it goes on a chip."""
    rows: int = 0
    """Rows of each group's matrix; 0 where it has no matrix form."""
    columns: int = 0
    """Columns of each group's matrix; 0 where it has no matrix form."""
    groups: int = 0
    """How many matrices; 0 where it has no matrix form."""
    tied_to: str = ""
    """The layer whose tensor core it shares, since they share a weight."""


@dataclass(frozen=True)
class Plan:
    """A model made ready for its chips, and its layers with weights in the order of the model."""

    model: nn.Module
    """Electronic still; attention of which a projection goes on a chip is an `Attention` with layers of its own."""
    layers: list[Planned]


@checked
def plan(
    model: nn.Module,
    chip: Chip | str | None,
    *,
    only: Rules = None,
    skip: Rules = None,
    places: Placement = (),
    untie: bool = False,
    inplace: bool = False,
) -> Plan:
    """Decide for each layer where it goes, without programming anything; `convert` says more of the arguments.

    Args:
        model: Any module; the root itself may be a layer.
        chip: The hardware, or the name of a preset; None where `places` names all there is.
        only: Rules that choose the layers to convert; None is all of them.
        skip: Rules that keep layers electronic.
        places: Other places than `chip`, by rule.
        untie: Convert a layer, with a copy, whose weight is tied to one that cannot share its core.
        inplace: Prepare `model` itself instead of a copy.

    Raises:
        RequestError: A rule given by name matches nothing, or something else than a chip with tensor cores is given.
    """
    model = model if inplace else copy_of(model)
    layers, opened = decide(model, chip, only=only, skip=skip, places=places, untie=untie)
    return Plan(replace_modules(model, opened), layers)


def decide(
    model: nn.Module, chip: Chip | str | None, *, only: Rules, skip: Rules, places: Placement, untie: bool
) -> tuple[list[Planned], dict[nn.Module, Attention]]:
    """Plan as `plan` does, but leave the model as it is: its layers, and what has to replace its attention.

    Args:
        model: Any module; the root itself may be a layer.
        chip: The hardware, or the name of a preset; None where `places` names all there is.
        only: Rules that choose the layers to convert; None is all of them.
        skip: Rules that keep layers electronic.
        places: Other places than `chip`, by rule.
        untie: Convert a layer, with a copy, whose weight is tied to one that cannot share its core.
    """
    owners = _owners(model)
    whole = [module for module in model.modules() if type(module) is nn.MultiheadAttention]
    opened: dict[nn.Module, Attention] = {m: Attention.from_electronic(m) for m in whole if _can_open(m, owners)}
    sites, names = _sites(model, opened)
    choice = PlacementPolicy(chip, only, skip, places, names)
    holders = tensors_in_attributes(model)
    decided = {site.module: _decided(site, choice, opened, holders) for site in sites}
    layers = [_tied(layer, decided, owners, untie) for layer in decided.values()]
    on_chips = {layer.module for layer in layers if layer.chip is not None}
    used = {module: attention for module, attention in opened.items() if on_chips.intersection(attention.children())}
    closed = {module: attention for module, attention in opened.items() if module not in used}
    return list(_reported(layers, closed)), used


# the layers of a model


def _sites(model: nn.Module, opened: Mapping[nn.Module, Attention]) -> tuple[list[LayerSite], list[str]]:
    """Modules that hold parameters of their own, each once, a core not apart from its layer; and every name."""
    sites: dict[nn.Module, LayerSite] = {}
    names = []
    for name, module, around in _paths(model, opened, "", ()):
        names.append(name)
        if _holds_weights(module):
            site = sites.get(module, LayerSite(module, (), ()))
            sites[module] = LayerSite(module, (*site.names, name), (*site.around, *around))
    return list(sites.values()), names


def _holds_weights(module: nn.Module) -> bool:
    own = any(True for _ in module.parameters(recurse=False))
    return own or isinstance(module, OpticalLayer) or is_quantised(module) or parametrize.is_parametrized(module)


def _paths(
    module: nn.Module, opened: Mapping[nn.Module, Attention], name: str, around: tuple[nn.Module, ...]
) -> Iterator[tuple[str, nn.Module, tuple[nn.Module, ...]]]:
    """Every module under every name, with what it is in; opened attention in the place of torch's."""
    inside = (*around, module)
    if module in opened:
        module = opened[module]
        inside = (*inside, module)
    yield name, module, inside[:-1]
    if isinstance(module, OpticalLayer) or is_quantised(module):
        return
    for part, child in module._modules.items():
        # what makes a weight belongs to the layer that has it
        if child is not None and not isinstance(child, parametrize.ParametrizationList):
            yield from _paths(child, opened, f"{name}.{part}" if name else part, inside)


Owners = Mapping[int, list[tuple[str, nn.Module]]]
"""The modules that hold each parameter, by its id."""


def _owners(model: nn.Module) -> Owners:
    owners: dict[int, list[tuple[str, nn.Module]]] = {}
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append((name, module))
    return owners


# attention


def _can_open(module: nn.MultiheadAttention, owners: Owners) -> bool:
    """Whether this is torch's own attention, with weights that nobody else has."""
    if "forward" in vars(module) or why_left_behind(module, Attention):
        return False
    if parametrize.is_parametrized(module) or form_of(module.out_proj) is None:
        return False
    return all(len(owners[id(parameter)]) == 1 for parameter in module.parameters())


def _reported(layers: list[Planned], closed: Mapping[nn.Module, Attention]) -> Iterator[Planned]:
    """The layers, where torch's own attention has back what was opened for nothing."""
    whole = {attention.q_proj: module for module, attention in closed.items()}
    outer = {attention.out_proj: module.get_submodule("out_proj") for module, attention in closed.items()}
    parts = {part for attention in closed.values() for part in attention.modules()}
    for layer in layers:
        if layer.module in whole:
            yield Planned(layer.name.rpartition(".")[0], whole[layer.module], None, layer.reason)
        elif layer.module in outer:
            yield replace(layer, module=outer[layer.module])
        elif layer.module not in parts:
            yield layer


# decisions


def _decided(
    site: LayerSite, choice: PlacementPolicy, opened: Mapping[nn.Module, Attention], holders: Mapping[int, str]
) -> Planned:
    form = form_of(site.module)
    rows, columns, groups = (0, 0, 0) if form is None else (form.rows, form.columns, form.groups)
    chip, reason = None, _why_impossible(site, opened, holders)
    if not reason:
        chip, reason = choice.of(site)
    return Planned(site.name, site.module, chip, reason, rows, columns, groups)


def _why_impossible(site: LayerSite, opened: Mapping[nn.Module, Attention], holders: Mapping[int, str]) -> str:
    """Why a layer cannot be converted, whatever is asked for; empty where it can."""
    module = site.module
    if isinstance(module, OpticalLayer):
        return "already optical"
    if any(_reads_weights(outer) and outer not in opened for outer in site.around):
        return "torch's MultiheadAttention reads its weights itself"
    if parametrize.is_parametrized(module):
        return "its weight is made by a parametrization, anew in every pass"
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in module.parameters(False)):
        return "not initialised yet; pass one batch through the model first"
    form = form_of(module)
    if form is None:
        return unsupported_reason(module)
    if any(_is_compiled(outer) and module in outer.children() for outer in site.around):
        return "torch.compile has compiled it already; convert first, and compile afterwards"
    if "forward" in vars(module):
        return "its forward has been replaced by another"
    weight = module._parameters.get("weight")
    if weight is None:
        return "its weight is made by a hook, anew in every pass"
    if "bias" not in module._parameters:
        return "its bias is made by a hook, anew in every pass"
    if weight.is_meta or weight.dtype not in PRECISIONS:
        return f"its weight is no real floating-point tensor in memory ({weight.dtype} on {weight.device.type})"
    if not weight.numel():
        return f"its weight {list(weight.shape)} is empty"
    if id(weight) in holders:
        return f"its weight is held by `{holders[id(weight)]}` too, which is no parameter and would keep the old one"
    return why_left_behind(module, form.kind)


def _reads_weights(module: nn.Module) -> bool:
    """Whether this is torch's attention, and not the one that calls layers."""
    return isinstance(module, nn.MultiheadAttention) and not isinstance(module, Attention)


def _is_compiled(module: nn.Module) -> bool:
    """Whether `torch.compile` made this, whose graph is of the module that it was given; nothing is imported for it."""
    return type(module).__name__ == "OptimizedModule"


def _tied(layer: Planned, decided: Mapping[nn.Module, Planned], owners: Owners, untie: bool) -> Planned:
    """A layer whose weight others have too shares their core, where all of them go on the same chip."""
    if layer.chip is None:
        return layer
    sharing = owners.get(id(layer.module.weight), [])
    if not untie:
        for name, other in sharing:
            why = _why_apart(layer, decided.get(other))
            if why:
                reason = f"its weight is tied to `{name}`, {why}; `untie=True` converts it with a copy"
                return replace(layer, chip=None, reason=reason)
    first = next((decided[other] for _, other in sharing if not _why_apart(layer, decided.get(other))), layer)
    return layer if first is layer else replace(layer, tied_to=first.name)


def _why_apart(layer: Planned, other: Planned | None) -> str:
    """Why two layers with the same weight cannot share a core; empty where they can."""
    if other is None or not other.rows:
        return "which is no matrix layer"
    if other.chip is None:
        return "which stays electronic"
    if form_of(layer.module) != form_of(other.module):
        return "which reads it as another matrix"
    return "" if layer.chip == other.chip else "which is on another chip"
