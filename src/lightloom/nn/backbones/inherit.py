"""The weights of an electronic network, in one of which some stages are optical."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn.diffractive.conv import DiffractiveConv2d


def load_electronic(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Load what is still electronic, and drop the weights of the stages that were replaced.

    Args:
        model: A backbone, or anything that holds one.
        state: Of the same model before stages were replaced.

    Returns:
        The keys that were dropped.

    Raises:
        RequestError: A weight of what is still electronic is missing or of another shape, or there is one too many.
    """
    lists = {name: part for name, part in model.named_modules() if name.split(".")[-1] == "stages"}
    prefixes = tuple(
        f"{name}.{stage}."
        for name, stages in lists.items()
        for stage, part in stages.named_children()
        if any(isinstance(inner, DiffractiveConv2d) for inner in part.modules())
    )
    weights = {key: value for key, value in state.items() if not key.startswith(prefixes) and not _gone(key, lists)}
    own = {key: value for key, value in model.state_dict().items() if not key.startswith(prefixes)}
    wrong = [key for key in own if key not in weights or weights[key].shape != own[key].shape]
    wrong += [key for key in weights if key not in own]
    if wrong:
        raise RequestError(
            f"{len(wrong)} weights are not those of this model, such as `{wrong[0]}`; give the weights of the same "
            "model before its stages were replaced."
        )
    model.load_state_dict(weights, strict=False)
    return [key for key in state if key not in weights]


def _gone(key: str, lists: Mapping[str, nn.Module]) -> bool:
    """Whether a weight belongs to a stage that is not there any more: one optical block stands for several."""
    match = re.match(r"(.*?\bstages)\.(\d+)\.", key)
    return match is not None and match[1] in lists and int(match[2]) >= len(list(lists[match[1]].children()))
