"""Where `transformers` comes in, and what it reads: folders and the hub, safetensors alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError


def transformers() -> Any:
    """The package `transformers`, imported where it is first needed: that takes seconds.

    Raises:
        RequestError: It is not there.
    """
    try:
        import transformers
    except ImportError:
        raise RequestError(
            "Backbones and DETR detectors need `transformers`; install it with: pip install 'lightloom[detection]'"
        ) from None
    return transformers


def read_checkpoint(reader: Any, pretrained: str, **options: Any) -> Any:
    """`reader.from_pretrained`, its failures as `RequestError`.

    Args:
        reader: A class of `transformers`.
        pretrained: A folder, or a name on the hub.
        **options: Of `from_pretrained`.

    Raises:
        RequestError: There is no such folder or name, the hub cannot be reached, or no safetensors are there.
    """
    if pretrained.startswith((".", "/", "~")) and not Path(pretrained).expanduser().is_dir():
        raise RequestError(f"There is no folder `{pretrained}`; give one with `config.json` and `model.safetensors`.")
    try:
        with _quiet():
            return reader.from_pretrained(pretrained, **options)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise RequestError(
            f"Cannot read a checkpoint from `{pretrained}`: {reason} Give a folder with `config.json` and "
            "`model.safetensors`, or a name on the hub."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the table of weights that do not fit: whoever reads a checkpoint checks them and says it in one line."""
    logging = transformers().utils.logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
