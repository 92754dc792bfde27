"""The file that describes own data, read so that nothing which its author wrote becomes something else.

YAML takes a plain `0123` for an octal number, `1:30` for one to the base 60, `2021-03-01` for a date and `no` for a
truth value, and of two equal keys it keeps the second. Here each of these is refused, with the line and the mend.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightloom.common.errors import RequestError

_TAG = "tag:yaml.org,2002:"
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_KINDS = {
    "int": "a number",
    "float": "a number",
    "bool": "a truth value",
    "timestamp": "a date",
    "null": "nothing",
}


def read_description(file: Path) -> Mapping[str, Any]:
    """What a JSON or YAML file holds.

    Raises:
        RequestError: The file is missing or is neither, is no mapping, has a key twice, or holds a word that YAML
            would turn into something else; the line is named.
    """
    if not file.is_file():
        raise RequestError(f"The description `{file}` is missing.")
    form = "JSON" if file.suffix.lower() == ".json" else "YAML"
    try:
        text = file.read_bytes().decode("utf-8-sig")
        content = json.loads(text, object_pairs_hook=_once) if form == "JSON" else yaml.load(text, Loader=_Reader)
    except _Misread as error:
        raise RequestError(f"`{file}`, {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RequestError(f"`{file}` is not {form}: {error}.") from None
    if not isinstance(content, dict):
        raise RequestError(f"`{file}` should hold `cameras` and `scenes` at its top.")
    return content


class _Misread(Exception):
    """What a file says and how it would be read."""


class _Reader(yaml.SafeLoader):
    """Reads YAML with decimal numbers, text and lists alone."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys: set[str] = set()
        for key, _ in node.value:
            kind = key.tag.removeprefix(_TAG)
            if kind in _KINDS:
                raise _Misread(_explained(key, f"{_KINDS[kind]}, and keys are text"))
            if kind == "str" and key.value in keys:
                raise _Misread(f"line {key.start_mark.line + 1}: the key `{key.value}` is there twice; leave one.")
            keys.add(str(key.value))
        return node

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """A decimal number; what YAML reads to another base is refused."""
        if not _WHOLE.fullmatch(node.value):
            value = self.construct_yaml_int(node)
            raise _Misread(_explained(node, f"the number {value}{_base(node.value)}"))
        return int(node.value)

    def real_number(self, node: yaml.ScalarNode) -> float:
        """A decimal number with a point; 1:30.5 and 1_0.5 are refused."""
        value = float(self.construct_yaml_float(node))
        if ":" in node.value or "_" in node.value:
            raise _Misread(_explained(node, f"the number {value:g}{_base(node.value)}"))
        return value

    def other_word(self, node: yaml.ScalarNode) -> Any:
        """Dates and truth values, which no description has."""
        raise _Misread(_explained(node, _KINDS[node.tag.removeprefix(_TAG)]))


_Reader.add_constructor(f"{_TAG}int", _Reader.whole_number)
_Reader.add_constructor(f"{_TAG}float", _Reader.real_number)
_Reader.add_constructor(f"{_TAG}bool", _Reader.other_word)
_Reader.add_constructor(f"{_TAG}timestamp", _Reader.other_word)


def _explained(node: yaml.ScalarNode, kind: str) -> str:
    number = ", or, where a number is meant, write it with decimal digits alone" if "number" in kind else ""
    return (
        f"line {node.start_mark.line + 1}: YAML reads `{node.value}` as {kind}. Put it in quotes, '{node.value}', "
        f"where it is a name or a token{number}."
    )


def _base(text: str) -> str:
    if ":" in text:
        return ", to the base 60"
    if "_" in text:
        return ", passing over `_`"
    digits = text.lstrip("+-").lower()
    return f", to the base {16 if digits.startswith('0x') else 2 if digits.startswith('0b') else 8}"


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of two equal keys none is passed over."""
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise _Misread(f"the key `{twice}` is there twice in one object; leave one.")
    return dict(pairs)
