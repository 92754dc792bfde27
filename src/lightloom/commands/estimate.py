"""What a network would take on a chip, without training or programming it: well-known ones, or a configuration file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.errors import LightloomError, RequestError, nearest
from lightloom.common.files import read_json
from lightloom.common.marks import claim
from lightloom.config import RunConfig, override
from lightloom.cost import estimate as estimate_cost
from lightloom.nn.backbones.checkpoints import transformers as library
from lightloom.schemas import CostFile, write_plain

NETWORKS = {
    "bert-base": "BertConfig",
    "convnextv2-tiny": "ConvNextV2Config",
    "gpt2": "GPT2Config",
    "regnet": "RegNetConfig",
    "resnet-50": "ResNetConfig",
    "swin-tiny": "SwinConfig",
    "vit-base": "ViTConfig",
}
"""Networks by name, and the class of `transformers` whose defaults describe each."""

_LOG = logging.getLogger("lightloom")
_LARGEST = 65536  # side of an image

TOKENS = 128
"""Length of a text where nothing is said."""


def estimate(
    source: str, changes: Sequence[str] = (), *, tokens: int = TOKENS, out: Path | None = None
) -> dict[str, Any]:
    """Cost of one inference of a network on the chip that it would go on.

    Args:
        source: One of `NETWORKS`, or a `config.json` of `transformers`.
        changes: `key=value` changes of `chip`, `system`, `places` and `electronic`, as a run takes them.
        tokens: Length of a text.
        out: Write `cost.json` to this folder.

    Returns:
        `network`, `chip`, and the bill as `Cost.as_dict` gives it.

    Raises:
        RequestError: The network is unknown or takes more than one image or text, a change does not fit, or
            `transformers` is missing.
    """
    config = override(RunConfig(recipe="estimate"), changes)
    model, sample = known_network(source, tokens=tokens)
    _LOG.info("estimate  %s on %s", type(model).__name__, config.chip.name)
    try:
        bill = estimate_cost(
            model,
            sample,
            chip=config.chip,
            places=tuple(config.places.items()),
            skip=config.electronic or None,
            system=config.system,
        )
    except LightloomError:
        raise
    except Exception as error:  # each model has its own checks of what it is given, of any kind
        raise RequestError(_unfed(source, error)) from error
    result = {"network": source, "chip": config.chip.name, **bill.as_dict()}
    if out is not None:
        write_plain(claim(out, "output") / "cost.json", CostFile, result)
    return result


def known_network(source: str, *, tokens: int = TOKENS) -> tuple[nn.Module, Tensor]:
    """A network of `transformers` on the meta device, where weights take no memory, and one input for it.

    Args:
        source: One of `NETWORKS`, or the path of a `config.json`.
        tokens: Length of a text.

    Raises:
        RequestError: Neither is there, or the file describes no network that takes images or text.
    """
    transformers = library()
    if source in NETWORKS:
        described = getattr(transformers, NETWORKS[source])()
    elif Path(source).is_file():
        described = _read(Path(source), transformers)
    else:
        raise RequestError(f"There is no network or file `{source}`. {nearest(source, NETWORKS)}")
    sample = _sample(described, source, tokens)
    described._experts_implementation = "eager"  # mixtures of experts: products that need no values to be counted
    with torch.device("meta"):
        try:
            model: nn.Module = transformers.AutoModel.from_config(described)
        except Exception as error:  # each model has its own checks, of any kind
            raise RequestError(_unfit(source, error)) from error
    return model.eval(), sample.to("meta")


def _read(path: Path, transformers: Any) -> Any:
    values = read_json(path)
    kind = values.get("model_type") if isinstance(values, dict) else None
    if kind not in transformers.CONFIG_MAPPING:
        raise RequestError(
            f"`{path}` names the model type `{kind}`; expected the `config.json` of a model of `transformers`."
        )
    try:
        return transformers.CONFIG_MAPPING[kind].from_dict(values)
    except Exception as error:  # as above
        raise RequestError(_unfit(str(path), error)) from error


def _unfit(source: str, error: Exception) -> str:
    message = " ".join(str(error).split()) or type(error).__name__
    return f"`{source}` describes no network that `transformers` can build; mend it. It says: {message}"


def _unfed(source: str, error: Exception) -> str:
    message = " ".join(str(error).split()) or type(error).__name__
    return (
        f"`{source}` describes a network that takes neither one image nor one text alone; account for it in Python, "
        f"with all of its inputs: `lightloom.cost.estimate(model, inputs, chip=...)`. It says: {message}"
    )


def _sample(described: Any, source: str, tokens: int) -> Tensor:
    """An image of the size that the configuration names, or a text."""
    if hasattr(described, "num_channels"):
        return torch.zeros(1, *_image_shape(described, source))
    if hasattr(described, "vocab_size"):
        most = getattr(described, "max_position_embeddings", None)
        most = most if isinstance(most, int) else None
        if tokens < 1 or (most is not None and tokens > most):
            upto = "1 or more" if most is None else f"1 to {most}"
            raise RequestError(f"`tokens` is {tokens}, and the network takes {upto}; change `--tokens`.")
        return torch.zeros(1, tokens, dtype=torch.int64)
    raise RequestError(f"`{source}` describes a network that takes neither images nor text; account for it in Python.")


def _image_shape(described: Any, source: str) -> tuple[int, int, int]:
    """Channels, height and width, as far as a configuration says them in one of the usual ways."""
    size = getattr(described, "image_size", 224)
    if isinstance(size, dict):
        size = (size.get("height"), size.get("width"))
    sides = (size, size) if isinstance(size, int) else size
    numbers = (described.num_channels, *sides) if isinstance(sides, tuple | list) else (described.num_channels,)
    if len(numbers) != 3 or not all(isinstance(number, int) and 0 < number <= _LARGEST for number in numbers):
        raise RequestError(
            f"`{source}` describes images of {described.num_channels} channels and size {size}; expected whole numbers "
            f"from 1 to {_LARGEST}. Account for it in Python where it takes something else."
        )
    channels, height, width = numbers
    return channels, height, width
