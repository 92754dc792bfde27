"""`key=value` changes to any field of a config, and the config as YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lightloom.common.config import Section
from lightloom.common.errors import RequestError, nearest
from lightloom.config.run import RunConfig

_Config = TypeVar("_Config", bound=RunConfig)
_MAP, _WIDTH = "tag:yaml.org,2002:map", 10_000
_BLOCK_DEPTH = 2
"""Groups of values that lie deeper stand on one line of a YAML file."""


def override(config: _Config, changes: Sequence[str]) -> _Config:
    """Apply `key=value` changes; a key is a path of fields ("train.lr"), a value is read as YAML.

    Args:
        config: Of a run of any task.
        changes: One after the other.

    Raises:
        RequestError: A change has no `=`, its key is unknown (the nearest is given), or its value does not fit.
    """
    values = config.model_dump()
    presets = type(config).presets()
    for change in changes:
        key, _, text = change.partition("=")
        if "=" not in change:
            raise RequestError(f"`{change}` is not of the form `key=value`.")
        _set(values, key.strip(), read_value(key, text), presets)
    return type(config).parse(values, "config")


def read_value(key: str, text: str) -> Any:
    """The value of a `key=value` change, read as YAML. Raises `RequestError` where it is none.

    Args:
        key: Key of the value, for the message.
        text: What stands behind the `=`.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # as dates without a day, or keys of lists
        raise RequestError(f"The value of `{key}` is not YAML: {error}.") from None


def _set(values: dict[str, Any], key: str, value: Any, presets: Mapping[str, Callable[[str], Section]]) -> None:
    paths = dict(_keys(values))
    if key not in paths:
        by_leaf = [path for path in paths if path.rsplit(".", 1)[-1] == key]
        hint = f"Did you mean `{by_leaf[0]}`?" if by_leaf else nearest(key, paths)
        raise RequestError(f"Unknown key `{key}`. {hint}")
    holder = values
    *parents, leaf = key.split(".")
    for parent in parents:
        holder = holder[parent]
    if isinstance(holder[leaf], dict) and not isinstance(value, dict):
        if leaf == "places":
            raise RequestError(f"`places` is `{value}`; it gives layers their chips: `places={{LAYER: CHIP}}`.")
        if leaf not in presets:
            fields = ", ".join(f"`{key}.{name}`" for name in holder[leaf])
            raise RequestError(f"`{key}` is a group of fields; give one of them: {fields}.")
        value = presets[leaf](str(value)).model_dump()
    holder[leaf] = value


def _keys(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")


def to_yaml(config: RunConfig) -> str:
    """The resolved config as YAML, in the order of the fields, without the sections that decide nothing in the run."""
    values = config.model_dump(mode="json", exclude=set(config.unused))
    text = yaml.dump(_on_lines(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    # some characters, such as a next line (U+0085), come back from YAML only where they were escaped
    return text if _reads_as(text, values) else yaml.safe_dump(values, sort_keys=False)


def _reads_as(text: str, values: dict[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text.encode("utf-8")) == values)
    except (UnicodeEncodeError, yaml.YAMLError):
        return False


class _Line(dict[str, Any]):
    """A group of values that stands on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes groups deep inside, such as a constant with its source, on one line each."""


_Dumper.add_representer(_Line, lambda dumper, line: dumper.represent_mapping(_MAP, line, flow_style=True))


def _on_lines(value: Any, depth: int = 0) -> Any:
    if isinstance(value, Mapping):
        group = {key: _on_lines(inner, depth + 1) for key, inner in value.items()}
        return _Line(group) if depth > _BLOCK_DEPTH else group
    return value


def read_values(path: Path) -> Mapping[str, Any]:
    """The keys and values of a YAML file, as `to_yaml` wrote them.

    Raises:
        RequestError: The file is missing, or is not YAML of that form.
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
    return values
