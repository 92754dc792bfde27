"""How torch runs what is asked of it: at once on numbers, or recorded, batched and differentiated for later.

What is computed once and kept must be made of numbers, outside of every mode of the caller's: a tensor made under
`torch.inference_mode` cannot take part in training later, and one made while a program is recorded holds none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

_Arguments = ParamSpec("_Arguments")


def eager() -> bool:
    """Whether operations run at once: no compilation or export, no transform of `torch.func`, no mode between."""
    return not (
        torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or is_in_torch_dispatch_mode()
    )


def forward_mode() -> bool:
    """Whether derivatives are carried forwards (`torch.autograd.forward_ad`), which a written backward knows not."""
    return bool(torch.autograd.forward_ad._current_level >= 0)


def is_batch(grad: Tensor) -> bool:
    """Whether this stands for many gradients at once, as `torch.autograd.grad` hands them by `is_grads_batched`."""
    return "Batched" in str(torch._C._dispatch_keys(grad))  # a key without a name in Python


def has_numbers(*tensors: Tensor) -> bool:
    """Whether values of these can be looked at, as a check of values must: they are real, and nothing is recorded."""
    return eager() and all(
        not tensor.is_meta and type(tensor).__torch_dispatch__ is Tensor.__torch_dispatch__ for tensor in tensors
    )


def constant(maxsize: int) -> Callable[[Callable[_Arguments, Any]], Callable[_Arguments, Tensor]]:
    """Compute an array once for the same arguments, and give every caller a CPU tensor of its own.

    The array is NumPy's, which no mode of torch touches, and cannot be written to.

    Args:
        maxsize: How many arrays are kept, those used last.
    """

    def decorate(compute: Callable[_Arguments, Any]) -> Callable[_Arguments, Tensor]:
        @lru_cache(maxsize=maxsize)
        def kept(*args: Any, **options: Any) -> Any:
            array = np.ascontiguousarray(compute(*args, **options))
            array.setflags(write=False)
            return array

        @wraps(compute)
        def copy(*args: _Arguments.args, **options: _Arguments.kwargs) -> Tensor:
            return torch.tensor(kept(*args, **options), device="cpu")  # type: ignore[arg-type]

        return copy

    return decorate
