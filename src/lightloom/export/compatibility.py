"""What of a saved network fits a model, and how it comes into it: all is looked at before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.errors import RequestError, nearest
from lightloom.export.description import Description, SavedLayer
from lightloom.export.technology import export_model
from lightloom.export.tensors import check_finite
from lightloom.nn import Mode, OpticalLayer, TensorCore, optical_layers


def pairs(model: nn.Module, description: Description) -> list[tuple[SavedLayer, OpticalLayer]]:
    """Each saved layer with that of the model.

    Args:
        model: A model that `check_layers` accepts.
        description: What was saved.
    """
    layers = optical_layers(model)
    return [(saved, layers[saved.name]) for saved in description.layers]


def check_layers(model: nn.Module, description: Description) -> None:
    """Check that a model has just the saved layers on chips, of the same kinds and sizes.

    Args:
        model: A converted model.
        description: What was saved.

    Raises:
        RequestError: It has not; what differs is named.
    """
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
    """Check that weights saved on one chip have a form that another one can hold, and an order that it can follow.

    Args:
        name: Name of the layer.
        was: The chip that the layer was saved on.
        here: The chip that it is to be on.
        ordered: Whether an order was saved.

    Raises:
        RequestError: They do not fit; what differs is named.
    """
    if was.technology != here.technology:
        raise RequestError(
            f"Layer `{name}` was saved on a {was.technology} chip, and weights of that form do not fit the "
            f"{here.technology} chip `{here.name}`. Load it with `load`, and convert its `nn.to_electronic` onto yours."
        )
    technology = export_model(was)
    fields = (*technology.form, *(technology.order_form if ordered else ()))
    wrong = [field for field in fields if getattr(was, field) != getattr(here, field)]
    if wrong:
        text = "; ".join(f"`{field}` {getattr(was, field)} as saved, {getattr(here, field)} here" for field in wrong)
        raise RequestError(
            f"The weights of layer `{name}` do not fit the chip `{here.name}`: {text}. Take a chip of the same form, "
            "or load the network with `load` and convert its `nn.to_electronic` onto yours."
        )


def fill(model: nn.Module, description: Description, tensors: dict[str, Tensor], orders: dict[str, Tensor]) -> None:
    """Put saved tensors and orders into a model whose layers and chips fit.

    Args:
        model: The converted model; it is as it was where something does not fit.
        description: What was saved.
        tensors: The saved state, each tensor once.
        orders: The saved orders, by layer and name, see `order_of`.

    Raises:
        RequestError: A mode, a tensor or an order does not fit the model.
    """
    whole = tensors | {name: tensors[first] for name, first in description.shared.items() if first in tensors}
    modes = {saved.name: saved.mode for saved in description.layers}
    following: dict[TensorCore, Callable[[], None]] = {}
    for name, layer in optical_layers(model).items():
        core = layer.core
        if modes[name] not in core.modes:
            raise RequestError(f"Layer `{name}` was saved in mode `{modes[name]}`. {nearest(modes[name], core.modes)}")
        if core not in following:  # what layers share is saved under the first
            state = _below(_prefix(name), whole)
            following[core] = export_model(core.chip).follow(name, core, state, order_of(name, orders))
    _check_tensors(model, whole, modes)
    for name, layer in optical_layers(model).items():
        layer.core.switch(modes[name])
    model.load_state_dict(whole)
    for follow in following.values():
        follow()


def order_of(layer: str, orders: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The saved order of one layer, by the names that its technology gives to the tensors.

    Args:
        layer: Name of the layer.
        orders: Orders of all layers, as `LAYER.NAME`.
    """
    split = {key: key.rpartition(".") for key in orders}
    return {name: orders[key] for key, (owner, _, name) in split.items() if owner == layer}


def _prefix(layer: str) -> str:
    """What the names of a layer's core in the state of the model begin with."""
    return f"{layer}.core." if layer else "core."


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _check_tensors(model: nn.Module, tensors: dict[str, Tensor], modes: Mapping[str, Mode]) -> None:
    """The saved tensors are those of the model, once its layers are in the modes that they were saved in."""
    state = model.state_dict()
    for name, layer in optical_layers(model).items():
        prefix = _prefix(name)
        of_core = export_model(layer.chip).state(layer.core, modes[name])
        state = {key: tensor for key, tensor in state.items() if not key.startswith(prefix)}
        state |= {f"{prefix}{key}": tensor for key, tensor in of_core.items()}
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    for name, tensor in tensors.items():
        check_finite(name, tensor, infinite=name in buffers)
    problems = [f"`{name}` was not saved" for name in expected if name not in tensors]
    problems += [f"`{name}` is not in the model. {nearest(name, expected)}" for name in tensors if name not in expected]
    for name in expected.keys() & tensors.keys():
        shape, dtype = expected[name]
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
