"""Tensors as safetensors files: written whole, the same content always the same bytes, and no code in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.common.files import write_bytes


def check_finite(name: str, tensor: Tensor, *, infinite: bool) -> None:
    """Refuse NaN, and infinities except in a buffer, which may be a mask.

    Args:
        name: Name of the tensor, for the error.
        tensor: The tensor; integers hold neither.
        infinite: Whether infinities are allowed.

    Raises:
        RequestError: It holds one.
    """
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return
    bad = "NaN" if bool(tensor.isnan().any()) else "Inf" if not infinite and bool(tensor.isinf().any()) else ""
    if bad:
        raise RequestError(f"`{name}` holds {bad}. Mend the model, then save it again.")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name as a safetensors file.

    Args:
        path: The file.
        tensors: By name.

    Raises:
        RequestError: The format does not know their kind of number.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save

    own = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    try:
        # of several keys of metadata the order would differ from run to run
        content = save(own, metadata={"written by": "lightloom"})
    except (SafetensorError, KeyError) as error:
        kinds = ", ".join(sorted({str(tensor.dtype) for tensor in own.values()}))
        raise RequestError(f"These tensors ({kinds}) do not fit into `{path.name}`: {error}.") from None
    write_bytes(path, content)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name.

    Raises:
        RequestError: The file is cut short or of another kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RequestError(f"`{path}` is not a whole safetensors file: {error}.") from None
