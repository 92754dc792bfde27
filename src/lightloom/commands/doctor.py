"""Is everything here that Lightloom needs, and nothing that breaks it?"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch

from lightloom.common.errors import WorkError
from lightloom.data import DATASETS
from lightloom.physics import compiled
from lightloom.pipeline.run_folder import versions


def examine(*, build_kernels: bool = False) -> dict[str, Any]:
    """Versions, devices, kernels, data, and advice.

    Args:
        build_kernels: Compile the optional mesh kernels.

    Raises:
        WorkError: The kernels were asked for and cannot be compiled.
    """
    if build_kernels:
        try:
            compiled.build()
        except RuntimeError as error:
            raise WorkError(str(error)) from error
    advice = []
    if find_spec("torchvision") is not None:
        advice.append("torchvision is installed. A build that does not match torch breaks other packages; remove it.")
    if not compiled.available():
        advice.append("Small meshes build faster with compiled kernels: `lightloom doctor --build-kernels`.")
    if "LIGHTLOOM_DATA" not in os.environ:
        advice.append("Set `LIGHTLOOM_DATA` to a folder with the data sets, or they are fetched when first needed.")
    return {
        **versions(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "data": {"folder": os.environ.get("LIGHTLOOM_DATA"), "sets": list(DATASETS)},
        "advice": advice,
    }
