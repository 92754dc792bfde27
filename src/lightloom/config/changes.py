"""`key=value` changes to any field of a config, and the config as YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightloom.chips import absorber, diffractive, preset
from lightloom.common.config import Section
from lightloom.common.errors import RequestError, nearest
from lightloom.config.whole import RunConfig
from lightloom.learn import sampling_preset
from lightloom.tasks.detection3d import detector_size

_NAMED: dict[str, Callable[[str], Section]] = {
    "chip": preset,
    "sampling": sampling_preset,
    "absorber": absorber,
    "diffraction": diffractive,
    "detector": detector_size,
}
"""Groups of fields that a preset's name may stand for."""


def override(config: RunConfig, changes: Sequence[str]) -> RunConfig:
    """Apply `key=value` changes; a key is a path of fields ("train.lr"), a value is read as YAML.

    Raises:
        RequestError: A change has no `=`, its key is unknown (the nearest is given), or its value does not fit.
    """
    values = config.model_dump()
    for change in changes:
        key, _, text = change.partition("=")
        if "=" not in change:
            raise RequestError(f"`{change}` is not of the form `key=value`.")
        _set(values, key.strip(), read_value(key, text))
    return RunConfig.parse(values, "config")


def read_value(key: str, text: str) -> Any:
    """The value of a `key=value` change, read as YAML. Raises `RequestError` where it is none."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # as dates without a day, or keys of lists
        raise RequestError(f"The value of `{key}` is not YAML: {error}.") from None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    known = dict(_keys(values))
    if key not in known:
        by_leaf = [path for path in known if path.rsplit(".", 1)[-1] == key]
        hint = f"Did you mean `{by_leaf[0]}`?" if by_leaf else nearest(key, known)
        raise RequestError(f"Unknown key `{key}`. {hint}")
    holder = values
    *parents, leaf = key.split(".")
    for parent in parents:
        holder = holder[parent]
    if isinstance(holder[leaf], dict) and not isinstance(value, dict):
        if leaf == "places":
            raise RequestError(f"`places` is `{value}`; it gives layers their chips: `places={{LAYER: CHIP}}`.")
        if leaf not in _NAMED:
            fields = ", ".join(f"`{key}.{name}`" for name in holder[leaf])
            raise RequestError(f"`{key}` is a group of fields; give one of them: {fields}.")
        value = _NAMED[leaf](str(value)).model_dump()
    holder[leaf] = value


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")


def to_yaml(config: RunConfig) -> str:
    """The resolved config as YAML, in the order of the fields."""
    values = config.model_dump(mode="json")
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    # some characters, such as a next line (U+0085), come back from YAML only where they were escaped
    return text if _reads_as(text, values) else yaml.safe_dump(values, sort_keys=False)


def _reads_as(text: str, values: dict[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text.encode("utf-8")) == values)
    except (UnicodeEncodeError, yaml.YAMLError):
        return False


def from_yaml(path: Path) -> RunConfig:
    """Read what `to_yaml` wrote.

    Raises:
        RequestError: The file is missing, is not YAML, or holds what a config cannot.
    """
    try:
        values = yaml.safe_load(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise RequestError(f"`{path}` is missing. Is this a run folder of Lightloom?") from None
    except OSError as error:
        raise RequestError(f"`{path}` cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RequestError(f"`{path}` is not YAML: {error}.") from None
    if not isinstance(values, Mapping):
        raise RequestError(f"`{path}` holds no config; expected `key: value` lines.")
    return RunConfig.parse(values, str(path))
