"""What of a saved network fits a model, and how it comes into it: all is looked at before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.errors import RequestError, nearest
from lightloom.export.description import Description, SavedLayer
from lightloom.export.tensors import check_finite
from lightloom.nn import OpticalLayer, PCMCore, optical_layers
from lightloom.physics.pcm import schedule

FORM: dict[str, tuple[str, ...]] = {"mesh": ("block_size", "layout", "field"), "pcm": ("block_size", "levels")}
"""Fields of a chip that decide what its weights are made of, by technology."""
_ORDER_FORM = ("sharing", "scope", "broadcast")


def pairs(model: nn.Module, description: Description) -> list[tuple[SavedLayer, OpticalLayer]]:
    """Each saved layer with that of the model."""
    layers = optical_layers(model)
    return [(saved, layers[saved.name]) for saved in description.layers]


def check_layers(model: nn.Module, description: Description) -> None:
    """The model has just the saved layers on chips, of the same kinds and sizes; raises `RequestError` otherwise."""
    layers, modules = optical_layers(model), dict(model.named_modules())
    for saved in description.layers:
        if saved.name not in modules:
            names = [name or "(root)" for name in modules]
            raise RequestError(f"The model has no layer `{saved.name}`, which was saved. {nearest(saved.name, names)}")
        if saved.name not in layers:
            kind = type(modules[saved.name]).__name__
            raise RequestError(
                f"Layer `{saved.name}` was saved on a chip, but in the given model it is a {kind} in electronics."
            )
        layer = layers[saved.name]
        was = (saved.kind, saved.groups, saved.rows, saved.columns)
        here = (type(layer).__name__, layer.core.groups, layer.core.rows, layer.core.columns)
        if was != here:
            raise RequestError(
                f"Layer `{saved.name}` was saved as {was[0]} of {was[1]} x [{was[2]}, {was[3]}], the given model has a "
                f"{here[0]} of {here[1]} x [{here[2]}, {here[3]}]."
            )
    extra = sorted(set(layers) - {saved.name for saved in description.layers})
    if extra:
        raise RequestError(
            f"`{extra[0]}` is on a chip in the model, but was saved in electronics. Give the electronic model, or "
            f'convert it with `skip=["{extra[0]}"]`.'
        )


def check_form(name: str, was: Chip, here: Chip, *, ordered: bool) -> None:
    """The weights saved on one chip have a form that another one can hold, and an order that it can follow."""
    if was.technology != here.technology:
        raise RequestError(
            f"Layer `{name}` was saved on a {was.technology} chip, and weights of that form do not fit the "
            f"{here.technology} chip `{here.name}`. Load it with `load`, and convert its `nn.to_electronic` onto yours."
        )
    fields = (*FORM[was.technology], *(_ORDER_FORM if ordered else ()))
    wrong = [field for field in fields if getattr(was, field) != getattr(here, field)]
    if wrong:
        told = "; ".join(f"`{field}` {getattr(was, field)} as saved, {getattr(here, field)} here" for field in wrong)
        raise RequestError(
            f"The weights of layer `{name}` do not fit the chip `{here.name}`: {told}. Take a chip of the same form, "
            "or load the network with `load` and convert its `nn.to_electronic` onto yours."
        )


def fill(model: nn.Module, description: Description, tensors: dict[str, Tensor], orders: dict[str, Tensor]) -> None:
    """Put saved tensors and orders into a model whose layers and chips fit; raises `RequestError` else."""
    whole = tensors | {name: tensors[first] for name, first in description.shared.items() if first in tensors}
    modes = {saved.name: saved.mode for saved in description.layers}
    plans = {}
    for name, layer in optical_layers(model).items():
        core = layer.core
        if modes[name] not in core.modes:
            raise RequestError(f"Layer `{name}` was saved in mode `{modes[name]}`. {nearest(modes[name], core.modes)}")
        if isinstance(core, PCMCore):
            plans[name] = _plan(name, core, whole, orders)
    _check_tensors(model, whole, modes)
    for name, layer in optical_layers(model).items():
        layer.core.switch(modes[name])
    model.load_state_dict(whole)
    for name, plan in plans.items():
        core = optical_layers(model)[name].core
        assert isinstance(core, PCMCore)
        core.place(plan)


def _plan(name: str, core: PCMCore, tensors: dict[str, Tensor], orders: dict[str, Tensor]) -> schedule.Schedule:
    """The order in which a crossbar is written."""
    prefix = f"{name}." if name else ""
    rows = tensors.get(f"{prefix}core.array_rows", core.array_rows.cpu())
    columns = orders.get(f"{name}.turns", core.natural.columns)
    plan = schedule.Schedule(rows, columns)
    try:
        schedule.check(plan, *core.shape)
    except (ValueError, RuntimeError, IndexError) as error:
        raise RequestError(f"The saved order of layer `{name}` is none of its matrix: {error}") from None
    return plan


def _check_tensors(model: nn.Module, tensors: dict[str, Tensor], modes: dict[str, str]) -> None:
    """The saved tensors are those of the model, once its layers are in the modes that they were saved in."""
    wanted = {name: (tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()}
    for name, layer in optical_layers(model).items():
        prefix = f"{name}." if name else ""
        if not isinstance(layer.core, PCMCore):
            wanted.pop(f"{prefix}core.matrix", None)
            if modes[name] == "weight":  # a mesh has a plain matrix in this mode only
                shape = torch.Size((layer.core.groups * layer.core.rows, layer.core.columns))
                wanted[f"{prefix}core.matrix"] = (shape, layer.core.sigma.dtype)
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    for name, tensor in tensors.items():
        check_finite(name, tensor, infinite=name in buffers)
    problems = [f"`{name}` was not saved" for name in wanted if name not in tensors]
    problems += [f"`{name}` is not in the model. {nearest(name, wanted)}" for name in tensors if name not in wanted]
    for name in wanted.keys() & tensors.keys():
        shape, dtype = wanted[name]
        if tensors[name].shape != shape:
            problems.append(f"`{name}` is {tuple(tensors[name].shape)} as saved, {tuple(shape)} in the model")
        elif tensors[name].dtype != dtype:
            problems.append(f"`{name}` is {tensors[name].dtype} as saved: give `model.to({tensors[name].dtype})`")
    problems += _torn(model, tensors)
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise RequestError(f"The saved network is another one than the model: {'; '.join(problems[:3])}{more}.")


def _torn(model: nn.Module, tensors: dict[str, Tensor]) -> Iterator[str]:
    """Names of one tensor in the model for which different ones were saved: the last would win."""
    first: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        other = first.setdefault(id(tensor), name)
        if other != name and other in tensors and name in tensors and not torch.equal(tensors[other], tensors[name]):
            yield f"`{name}` and `{other}` are tied in the model, but were saved with different values"
