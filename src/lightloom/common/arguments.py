"""Arguments of public functions, checked by their annotations: another type is refused by name, with what to give."""

from __future__ import annotations

import builtins
import collections.abc
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from lightloom.common.checks import is_real, is_whole, shown
from lightloom.common.errors import RequestError

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_LOOKED_AT = 10_000  # elements of a sequence whose types are looked at
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}


def checked(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Check the arguments of a function by its annotations before it runs.

    Whole numbers may be of any integer type, and numbers of any real one, but no truth value is a number, and NaN is
    none. A path may be given as text. What an annotation says of a callable's own arguments is left unchecked.

    Args:
        function: With annotations; names that exist for type checkers alone count as `Any`.

    Raises:
        RequestError: At a call, where an argument does not fit; it is named with what was given and what is expected.
    """
    signature = inspect.signature(function)
    title = function.__qualname__.removesuffix(".__init__").rpartition("<locals>.")[2]

    @functools.cache
    def hints() -> dict[str, Any]:
        names = _Names(inspect.unwrap(function).__globals__)
        annotations = typing.get_type_hints(function, localns=names)
        plain = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {
            name: annotations[name]
            for name, p in signature.parameters.items()
            if name in annotations and p.kind not in plain
        }

    @functools.wraps(function)
    def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # says which argument is missing or unknown
        for name, hint in hints().items():
            if name not in bound.arguments:
                continue
            value = bound.arguments[name]
            if not fits(value, hint):
                where, what, part_hint = _first_wrong(name, value, hint)
                raise RequestError(f"`{where}` is {shown(what)}; `{title}` takes {expected(part_hint)} there.")
            if isinstance(value, str | os.PathLike) and Path in alternatives(hint) and str not in alternatives(hint):
                bound.arguments[name] = Path(value)
        return function(*bound.args, **bound.kwargs)

    return call


def _first_wrong(where: str, value: object, hint: Any) -> tuple[str, object, Any]:
    """The part of a mapping or a list that does not fit, or all of it: place, part, and what it has to be."""
    for part in alternatives(hint):
        origin, parts = get_origin(part), get_args(part)
        if not isinstance(origin, type) or not parts:
            continue
        if issubclass(origin, Mapping) and isinstance(value, Mapping):
            wrong = next((key for key, item in value.items() if not fits(item, parts[1])), None)
            return (
                (where, value, hint) if wrong is None else _first_wrong(f"{where}[{wrong!r}]", value[wrong], parts[1])
            )
        one = len(parts) == 1 or parts[1] is Ellipsis
        if one and issubclass(origin, Collection) and isinstance(value, list | tuple):
            place = next((place for place, item in enumerate(value) if not fits(item, parts[0])), None)
            return (where, value, hint) if place is None else _first_wrong(f"{where}[{place}]", value[place], parts[0])
    return where, value, hint


class _Names(dict[str, Any]):
    """The names of a module; one that is there for type checkers alone is unknown."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, _UNKNOWN)


class _Unknown:
    """Stands for what an annotation names and a running program does not have; anything fits it."""

    def __getattr__(self, name: str) -> _Unknown:
        return self

    def __getitem__(self, parts: object) -> _Unknown:
        return self

    def __or__(self, other: object) -> _Unknown:
        return self

    __ror__ = __or__

    def __call__(self) -> None:
        """Annotations have to be callable."""


_UNKNOWN = _Unknown()


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of the type that an annotation names, as far as that can be seen without changing it.

    Args:
        value: What was given.
        hint: The type that it is to have.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, TypeVar | ParamSpec | _Unknown):
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, tuple({type(part) for part in parts}))  # which one it may be, the function says
    if origin is not None:
        return _fits_generic(value, origin, parts)
    return _fits_class(value, hint)


def _fits_class(value: object, hint: Any) -> bool:
    if hint is int:
        return is_whole(value)
    if hint is float:
        return is_real(value)
    if hint is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
    if hint is Path:
        return isinstance(value, str | os.PathLike) and value != ""
    if hint in (collections.abc.Callable, typing.Callable):
        return callable(value)
    try:
        return isinstance(value, hint)
    except TypeError:  # a protocol that cannot be asked at run time
        return True


def _fits_generic(value: object, origin: Any, parts: tuple[Any, ...]) -> bool:
    if origin is type:
        return isinstance(value, type)
    if origin is collections.abc.Callable:
        return callable(value)
    if not isinstance(origin, type):
        return True
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(k, parts[0]) and fits(v, parts[1]) for k, v in value.items())
    if issubclass(origin, tuple):
        return _fits_tuple(value, parts)
    if not issubclass(origin, Iterable):
        return _fits_class(value, origin)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    if not issubclass(origin, Collection):
        return True  # it may be gone once it was looked at
    if hasattr(value, "__array__"):  # as numbers of numpy and torch come
        return True
    return isinstance(value, origin) and _all_fit(value, parts)


def _all_fit(values: Collection[object], parts: tuple[Any, ...]) -> bool:
    if isinstance(values, range) or len(values) > _LOOKED_AT or len(parts) != 1 or parts[0] is Any:
        return True
    return all(fits(item, parts[0]) for item in values)


def _fits_tuple(value: object, parts: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple | list):
        return False
    if len(parts) == 2 and parts[1] is Ellipsis:
        return _all_fit(value, parts[:1])
    return len(value) == len(parts) and all(fits(item, part) for item, part in zip(value, parts, strict=True))


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types that an annotation names, one of which is enough."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def expected(hint: Any) -> str:
    """What an annotation asks for, in words."""
    words = dict.fromkeys(_word(part) for part in alternatives(hint))
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _word(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is type(None):
        return "None"
    if hint in _WORDS:
        return _WORDS[hint]
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin is collections.abc.Callable or hint is collections.abc.Callable:
        return "a function"
    if origin is type:
        return "a class"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a mapping"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        inner = [part for part in parts if part is not Ellipsis]
        of = f" of {expected(inner[0])}" if len(set(inner)) == 1 and get_origin(inner[0]) is None else ""
        return f"several in a {'tuple' if issubclass(origin, tuple) else 'list'}{of}"
    name = getattr(hint, "__name__", str(hint))
    module = str(getattr(hint, "__module__", "")).partition(".")[0]
    return f"a `{'torch.nn.' if module == 'torch' and name == 'Module' else ''}{name}`"
