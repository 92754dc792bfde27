"""A saved network back in memory: on the chips that it was saved with, or its weights alone on another chip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.files import read_json
from lightloom.export.atomic_folder import inside
from lightloom.export.compatibility import check_form, check_layers, fill, order_of, pairs
from lightloom.export.description import (
    CONFIG,
    ORDERS,
    SAMPLE,
    WEIGHTS,
    Description,
    read_chips,
    read_description,
)
from lightloom.export.sample_io import answers, difference, unpacked
from lightloom.export.tensors import read_tensors
from lightloom.nn import convert, optical_layers
from lightloom.nn.copies import copy_of


@checked
def load(folder: Path, model: nn.Module | None = None) -> nn.Module:
    """The network that `save` wrote, in evaluation mode, on the same chips and with the same outputs.

    Args:
        folder: Of a saved network.
        model: A fresh electronic model of the same architecture, or one that is on the same chips already; it is left
            as it is. None builds the model where the folder says how, which is for models of transformers.

    Raises:
        RequestError: The folder is damaged or of a newer format, or the model does not fit it; what differs is named.
    """
    folder = Path(folder)
    description, chips, tensors = _read(folder)
    model = _build(folder, description) if model is None else copy_of(model)
    model = _put_on_chips(model, description, chips)
    check_layers(model, description)
    for saved, layer in pairs(model, description):
        chip = chips[saved.chip]
        if layer.chip != chip:
            fields = [
                name for name in type(chip).model_fields if getattr(chip, name) != getattr(layer.chip, name, None)
            ]
            raise RequestError(
                f"Layer `{saved.name}` was saved on another chip than the model's: `{'`, `'.join(fields)}` differ. "
                "Give the electronic model, or put the weights alone onto your chip by `load_weights`."
            )
        layer.core.name = saved.core
    fill(model, description, tensors, _orders(folder, description))
    for saved, layer in pairs(model, description):
        layer.core.install(None if saved.specimen is None else layer.chip.specimen(saved.specimen))
    return model.eval()


@checked
def load_weights(model: nn.Module, folder: Path) -> None:
    """Put the weights of a saved network into a converted model; its chips and specimens stay what they are.

    Args:
        model: The same architecture, the same layers on chips. These may be other chips of the same form: for meshes
            the same block size, layout and field, for crossbars the same block size and levels.
        folder: Of a saved network.

    Raises:
        RequestError: As `load`, or the form of a chip differs.
    """
    folder = Path(folder)
    description, chips, tensors = _read(folder)
    check_layers(model, description)
    orders = _orders(folder, description)
    for saved, layer in pairs(model, description):
        check_form(saved.name, chips[saved.chip], layer.chip, ordered=bool(order_of(saved.name, orders)))
    fill(model, description, tensors, orders)


@checked
def check(folder: Path, model: nn.Module) -> float:
    """How far the model's outputs are from those saved with it, relative to the largest; see `save(sample=...)`.

    Args:
        folder: Of a saved network.
        model: The network, as `load` gave it.

    Raises:
        RequestError: The folder holds no sample, or the model answers with other outputs.
    """
    folder = Path(folder)
    if SAMPLE not in read_description(folder).files:
        raise RequestError(f"`{folder}` holds no sample to compare with. Save the network with `sample=`.")
    sample, saved = unpacked(read_tensors(inside(folder, SAMPLE)))
    outputs = answers(model, sample)
    for name, tensor in saved.items():
        if name not in outputs or outputs[name].shape != tensor.shape:
            raise RequestError(f"The model does not answer with `{name}` {tuple(tensor.shape)} as the saved one does.")
    return difference(outputs, saved)


def _read(folder: Path) -> tuple[Description, dict[str, Chip], dict[str, Tensor]]:
    description = read_description(folder)
    chips = read_chips(folder)
    for layer in description.layers:
        if layer.chip not in chips:
            raise RequestError(f"Layer `{layer.name}` is on chip `{layer.chip}`, which `chips.json` does not hold.")
    return description, chips, read_tensors(inside(folder, WEIGHTS))


def _build(folder: Path, description: Description) -> nn.Module:
    """A model of transformers, from its config."""
    if CONFIG not in description.files:
        raise RequestError(
            f"`{folder}` does not say how to build a `{description.network}`. Build one as you did before and give it: "
            "`load(folder, model)`."
        )
    config = read_json(inside(folder, CONFIG))
    try:
        import transformers
    except ImportError:
        raise RequestError(
            f"`{description.network}` is a model of transformers, which is not here: `pip install transformers`."
        ) from None
    kind = getattr(transformers, str(config.get("class")), None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)):
        raise RequestError(
            f"transformers {transformers.__version__} has no `{config.get('class')}`. Give it: `load(folder, model)`."
        )
    model: nn.Module = kind(kind.config_class.from_dict(config["config"]))  # type: ignore[union-attr]
    return model


def _put_on_chips(model: nn.Module, description: Description, chips: dict[str, Chip]) -> nn.Module:
    """Every layer that is not on a chip yet but was saved on one."""
    converted = set(optical_layers(model))
    missing = {key: {saved.name for saved in description.layers if saved.chip == key} - converted for key in chips}
    places = [(_among(names), chips[key]) for key, names in missing.items() if names]
    # a tie that conversion did not keep was cut when the model was saved
    return convert(model, None, places=places, untie=True, inplace=True).model if places else model


def _among(names: set[str]) -> Callable[[str, nn.Module], bool]:
    return lambda name, _: name in names


def _orders(folder: Path, description: Description) -> dict[str, Tensor]:
    return read_tensors(inside(folder, ORDERS)) if ORDERS in description.files else {}
