"""Where a model refers to its layers and tensors: as submodules, and in the plain attributes of its modules."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Mapping
from types import MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

from lightloom.nn.belongings import carry_hooks

_PLAIN = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, Tensor)


def replace_modules(model: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put each new module wherever the old one is used, the root included; hooks on its forward move over.

    That is among the submodules, and in lists, dictionaries, tuples, bound methods and objects that are attributes of
    modules.

    Args:
        model: With the old modules.
        replacements: The new module of each old one.
    """
    for old, new in replacements.items():
        carry_hooks(old, new)
    if not replacements:
        return model
    visited: set[int] = set()
    for parent in [*model.modules(), *replacements.values()]:
        for name, child in list(parent._modules.items()):  # named_children() shows a module used twice only once
            if child is not None and child in replacements:
                setattr(parent, name, replacements[child])
        for name, value in list(vars(parent).items()):
            if name not in _BOOKKEEPING and parent not in replacements:
                other = _replace(value, replacements, visited)
                if other is not value:
                    parent.__dict__[name] = other
    return replacements.get(model, model)


def tensors_in_attributes(model: nn.Module) -> dict[int, str]:
    """The tensors that modules hold beside their parameters and buffers, by id, each with the name of its holder."""
    visited: set[int] = set()
    holders: dict[int, str] = {}
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in _BOOKKEEPING:
                path = f"{name}.{attribute}" if name else attribute
                holders.update({id(tensor): path for tensor in _tensors(value, visited)})
    return holders


_BOOKKEEPING = {*vars(nn.Module())}


def _replace(value: Any, replacements: Mapping[nn.Module, nn.Module], visited: set[int]) -> Any:
    """A value with new modules in the place of old ones: changed itself where it can be, a new one where it cannot."""
    if isinstance(value, nn.Module):
        return replacements.get(value, value)
    if isinstance(value, MethodType):
        new = replacements.get(value.__self__) if isinstance(value.__self__, nn.Module) else None
        return value if new is None else _method_of(value, new)
    if isinstance(value, functools.partial):
        parts = [_replace(part, replacements, visited) for part in (value.func, *value.args, *value.keywords.values())]
        if all(a is b for a, b in zip(parts, (value.func, *value.args, *value.keywords.values()), strict=True)):
            return value
        count = len(value.args) + 1
        return functools.partial(parts[0], *parts[1:count], **dict(zip(value.keywords, parts[count:], strict=True)))
    if isinstance(value, tuple | frozenset):
        items = [_replace(item, replacements, visited) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        make: Any = type(value)
        return make(*items) if hasattr(value, "_fields") else make(items)
    if id(value) not in visited and not isinstance(value, _PLAIN):
        visited.add(id(value))
        _replace_inside(value, replacements, visited)
    return value


def _replace_inside(value: Any, replacements: Mapping[nn.Module, nn.Module], visited: set[int]) -> None:
    """Replace modules inside a value that can be changed itself."""
    if isinstance(value, list | deque):
        for index, item in enumerate(value):
            value[index] = _replace(item, replacements, visited)
    elif isinstance(value, set):
        for item in list(value):
            if (other := _replace(item, replacements, visited)) is not item:
                value.remove(item)
                value.add(other)
    elif isinstance(value, dict):
        for key, item in list(value.items()):
            if (other := _replace(item, replacements, visited)) is not item:
                value[key] = other
    elif isinstance(getattr(value, "__dict__", None), dict) and not callable(value):
        _replace_inside(vars(value), replacements, visited)


def _method_of(method: MethodType, new: nn.Module) -> Any:
    """The method of a new module; one that is no method of the old one's class goes along."""
    own = getattr(type(method.__self__), method.__name__, None) is method.__func__
    return getattr(new, method.__name__) if own else MethodType(method.__func__, new)


def _tensors(value: Any, visited: set[int]) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (nn.Module, *_PLAIN)) or id(value) in visited:
        return
    else:
        visited.add(id(value))
        if isinstance(value, dict):
            parts = list(value.values())
        elif isinstance(value, list | tuple | set | frozenset | deque):
            parts = list(value)
        else:
            parts = list(getattr(value, "__dict__", {}).values()) if not callable(value) else []
        for part in parts:
            yield from _tensors(part, visited)
