"""What a network would take on a chip, without training or programming it: well-known ones, or a configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import read_json, write_json
from lightloom.common.marks import claim
from lightloom.config import RunConfig, override
from lightloom.cost import account
from lightloom.nn.backbones.checkpoints import transformers as library

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
        RequestError: The network is unknown, a change does not fit, or `transformers` is missing.
    """
    config = override(RunConfig(recipe="estimate"), changes)
    model, sample = known_network(source, tokens=tokens)
    bill = account(
        model,
        sample,
        chip=config.chip,
        places=tuple(config.places.items()),
        skip=config.electronic or None,
        system=config.system,
    )
    result = {"network": source, "chip": config.chip.name, **bill.as_dict()}
    if out is not None:
        write_json(claim(out, "output") / "cost.json", result)
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
    told = " ".join(str(error).split()) or type(error).__name__
    return f"`{source}` describes no network that `transformers` can build; mend it. It says: {told}"


def _sample(described: Any, source: str, tokens: int) -> Tensor:
    """An image of the size that the configuration names, or a text."""
    if hasattr(described, "num_channels"):
        size = getattr(described, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else size
        return torch.zeros(1, described.num_channels, height, width)
    if hasattr(described, "vocab_size"):
        most = getattr(described, "max_position_embeddings", None)
        if tokens < 1 or (most is not None and tokens > most):
            upto = "1 or more" if most is None else f"1 to {most}"
            raise RequestError(f"`tokens` is {tokens}, and the network takes {upto}; change `--tokens`.")
        return torch.zeros(1, tokens, dtype=torch.int64)
    raise RequestError(f"`{source}` describes a network that takes neither images nor text; account for it in Python.")
