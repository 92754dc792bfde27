"""What a run would take of memory, estimated from its config before anything is read or built."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from lightloom.common.errors import RequestError
from lightloom.data import describe
from lightloom.tasks.classification.config import DIFFRACTIVE_NETWORK, ClassificationConfig, DataConfig
from lightloom.tasks.classification.models import build

_BYTES = 4  # of a number in single precision
_COPIES = 4  # of a weight in training: itself, its gradient, and two moments
_ON_CHIP = 8  # of a weight on a chip: phases, errors and realised blocks
_KEPT = 2  # of an activation: itself and its gradient
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_sizes(config: ClassificationConfig) -> None:
    """Refuse a run whose images and network do not fit into memory.

    Args:
        config: Of a run; its `memory_gb` is the bound, or else the memory of this machine.

    Raises:
        RequestError: The estimate is above the bound; it is told, with what to make smaller.
    """
    bound = memory_bytes() if config.memory_gb is None else config.memory_gb * 1e9
    parts = {"data": config.data, **({"transfer": config.transfer} if config.transfer is not None else {})}
    needs = {f"{key}.size": image_bytes(data) for key, data in parts.items()}
    if config.model.name != DIFFRACTIVE_NETWORK:
        needs["model.width"] = network_bytes(config)
    total = sum(needs.values())
    if total <= bound:
        return
    most = max(needs, key=lambda key: needs[key])
    shares = ", ".join(
        f"{'images' if key.endswith('size') else 'network'} {need / 1e9:.3g} GB" for key, need in needs.items()
    )
    raise RequestError(
        f"This run would take about {total / 1e9:.3g} GB of memory ({shares}), and the bound is {bound / 1e9:.3g} GB. "
        f"Make `{most}` smaller{', or `train.batch_size`' if most == 'model.width' else ', or give a `limit`'}; "
        "`memory_gb=N` sets another bound."
    )


def image_bytes(data: DataConfig) -> float:
    """Bytes of all images of a set as they are held in memory: single precision, at the size that is asked for."""
    info = describe(data.name)
    channels, height, width = info.shape
    height, width = (height, width) if data.size is None else (data.size, data.size)
    training = info.train_and_validation - info.validation
    count = info.validation + info.test + (training if data.limit is None else min(training, data.limit))
    return float(_BYTES) * count * channels * height * width


def network_bytes(config: ClassificationConfig) -> float:
    """Bytes of the weights in training and on the chip, and of the activations of one step.

    Args:
        config: Of a run that classifies images with one of the networks of `lightloom.tasks.classification`.
    """
    info = describe(config.data.name)
    size, network = config.data.size, config.model
    channels, height, width = info.shape
    shape = (channels, height, width) if size is None else (channels, size, size)
    with torch.device("meta"):
        model = build(network.name, shape=shape, classes=info.class_count, width=network.width, depth=network.depth)
        outputs: list[int] = []
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.numel()))
        with torch.no_grad():
            model.eval()(torch.empty(1, *shape))
    weights = sum(parameter.numel() for parameter in model.parameters())
    copies = _COPIES + (_ON_CHIP if "program" in config.stages or config.optics.on_chip else 0)
    batch = max(config.train.batch_size, config.learn.batch_size)
    return float(_BYTES) * (copies * weights + _KEPT * batch * sum(outputs))


def memory_bytes() -> float:
    """Memory of this machine, or what its container may take of it; infinite where neither is said."""
    sizes = [float("inf")]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        sizes.append(float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES"))
    if _LIMIT.is_file():
        text = _LIMIT.read_text(encoding="utf-8").strip()
        sizes += [float(text)] if text.isdigit() else []
    return min(size for size in sizes if size > 0)
