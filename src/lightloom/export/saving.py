"""A converted network in one folder: its weights, and apart from them the hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.files import write_text
from lightloom.common.marks import MARK
from lightloom.export.atomic_folder import whole_folder
from lightloom.export.description import (
    CHIPS,
    CONFIG,
    INDEX,
    ORDERS,
    SAMPLE,
    WEIGHTS,
    Description,
    begin,
    chips_text,
    describe_layers,
    digest,
    named_chips,
    write_out,
)
from lightloom.export.sample_io import Sample, answers, packed
from lightloom.export.technology import export_model
from lightloom.export.tensors import check_finite, write_tensors
from lightloom.nn import TensorCore, optical_layers


@checked
def save(
    model: nn.Module, folder: Path, *, sample: Sample | None = None, note: str = "", specimens: bool = True
) -> dict[str, Any]:
    """Write a network so that `load` gives it back, on the same chips and with the same outputs.

    `model.safetensors` holds parameters and buffers, `chips.json` the hardware, `orders.safetensors` the orders in
    which crossbars are written where they are not the natural ones, `config.json` what transformers build the model
    from, `sample.safetensors` inputs and outputs to compare with, and `lightloom.json` says what the layers are.

    Args:
        model: A converted model.
        folder: Where to; a saved network is replaced as a whole.
        sample: Inputs that are kept with what the model answers in evaluation mode, for `check`.
        note: Anything worth saying.
        specimens: Whether to note on which manufactured chips the layers are, as seeds; without, a loaded model is on
            chips without hidden errors.

    Returns:
        What `lightloom.json` holds.

    Raises:
        RequestError: No layer is on a chip, a number is not finite, a specimen has no seed that describes it, or the
            folder holds something else.
        WorkError: The disk is full or refuses.
    """
    if not optical_layers(model):
        raise RequestError(
            "No layer of this network is on a chip. Put it there first: `nn.convert(model, chip).model`."
        )
    chips, keys = named_chips(model)
    layers = describe_layers(model, keys, specimens)
    tensors, shared = _weights(model)
    with whole_folder(folder, "network") as part:
        write_text(part / CHIPS, chips_text(chips))
        write_tensors(part / WEIGHTS, tensors)
        orders = _orders(model)
        if orders:
            write_tensors(part / ORDERS, orders)
        config = _config(model)
        if config is not None:
            write_text(part / CONFIG, config)
        if sample is not None:
            write_tensors(part / SAMPLE, packed(sample, answers(model, sample)))
        files = {path.name: digest(path) for path in sorted(part.iterdir()) if path.name != MARK}
        description = Description(**begin(model, note), layers=layers, shared=shared, files=files)
        write_text(part / INDEX, write_out(description))
    saved: dict[str, Any] = description.model_dump(mode="json")
    return saved


def _orders(model: nn.Module) -> dict[str, Tensor]:
    """The orders in which cores are written, as `LAYER.NAME`; a core that layers share stands under the first."""
    names: dict[TensorCore, str] = {}
    for name, layer in optical_layers(model).items():
        names.setdefault(layer.core, name)
    return {
        f"{name}.{key}": tensor
        for core, name in names.items()
        for key, tensor in export_model(core.chip).order(core).items()
    }


def _weights(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a model once, and the other names of those that have several."""
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    names: dict[tuple[Any, ...], str] = {}
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, Tensor):
            raise RequestError(
                f"`{name}` of the model's state is a {type(tensor).__name__}; only tensors can be saved."
            )
        check_finite(name, tensor, infinite=name in buffers)
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        first = names.setdefault(place, name) if tensor.numel() else name
        if first == name:
            tensors[name] = tensor
        else:
            shared[name] = first
    return tensors, shared


def _config(model: nn.Module) -> str | None:
    """What transformers build the model from, without the place that it came from; None of any other model."""
    to_dict = getattr(getattr(model, "config", None), "to_dict", None)
    if not callable(to_dict):
        return None
    fields = {key: value for key, value in to_dict().items() if key != "_name_or_path"}
    return json.dumps({"class": type(model).__name__, "config": fields}, indent=2, default=str) + "\n"
