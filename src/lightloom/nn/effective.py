"""The weight of an optical layer as it is handed out: read-only, and who computes with it is known."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError

_INPLACE = re.compile(
    r"[^_](.*[^_])?_|_foreach_.*_|__i(add|sub|mul|truediv|div|floordiv|mod|pow|and|or|xor|lshift|rshift|matmul)__"
)
_WRITES = {"__set__", "__delete__", "__setitem__", "vector_to_parameters"}
_LOOKS = re.compile(r"__get__|__repr__|__format__|__deepcopy__|new_.*|.*_like|type_as|is_.*|can_cast|result_type")
"""Operations that need no number of the weight."""


class DirectRead(NamedTuple):
    """A module that computes with the weight of an optical layer itself, so that no converter meets the signals."""

    layer: str
    """The optical layer."""
    reader: str
    """The module that reads; empty for the model itself."""
    kind: str
    """Class of the module that reads."""
    operation: str
    """What it computes first, such as `linear`."""

    def __str__(self) -> str:
        """One line for a report."""
        return (
            f"`{self.reader or 'the model'}` ({self.kind}) computes with the weight of `{self.layer or '(root)'}` "
            f"itself, by `{self.operation}`: no converter meets its input and output there"
        )


class _Kind(type(Tensor)):  # type: ignore[misc]
    """Counts every tensor as one of its class, so that `torch.testing` compares it with parameters too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether this is any tensor."""
        return isinstance(instance, Tensor)


class EffectiveWeight(Tensor, metaclass=_Kind):
    """What the devices make of a layer's weight, for code that reads it.

    It computes as any tensor does, with its gradient. Writing into it, or into a view of it, is refused: nothing would
    reach the devices.
    """

    layers: tuple[nn.Module, ...]
    """The optical layers whose weight this is."""
    whole: bool
    """Whether this is what was handed out, not a view of it; a detached view may be made a leaf of a graph."""

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Any operation of torch that takes such a weight."""
        kwargs = kwargs or {}
        weights = [value for value in _tensors((args, tuple(kwargs.values()))) if type(value) is cls]
        name = getattr(func, "__name__", "")
        targets = [value for value in _tensors(_targets(name, args, kwargs)) if type(value) is cls]
        flag = "requires_grad" in (name.rstrip("_"), getattr(getattr(func, "__self__", None), "__name__", ""))
        if targets and not (flag and not targets[0].whole):
            raise refusal("weight", targets[0].layers)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
            return _result(result, weights, "" if _looks(name, args, cls) else name)

    def set_(self, *_: Any, **__: Any) -> Any:
        """Refused, which torch does not ask `__torch_function__` about."""
        raise refusal("weight", self.layers)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A plain tensor, without the graph."""
        with torch._C.DisableTorchFunctionSubclass():
            plain: Tensor = memo.setdefault(id(self), self.detach().clone())
            return plain

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as a plain tensor."""
        with torch._C.DisableTorchFunctionSubclass():
            return self.detach().clone().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]


def hand_out(weight: Tensor, layers: Iterable[nn.Module]) -> Tensor:
    """A weight for others to read, which shares no memory with what evaluation uses.

    While torch traces or transforms (compile, export, functorch), a plain tensor stands for it.

    Args:
        weight: As the devices make it.
        layers: Those that it is the weight of.
    """
    traced: bool = torch.compiler.is_compiling() or torch._C._is_tracing()
    plain = traced or type(weight) not in (Tensor, nn.Parameter)
    if not weight.requires_grad:
        weight = weight.clone()
    if plain or torch._C._functorch.peek_interpreter_stack() is not None:
        return weight
    return _marked(weight, tuple(layers), whole=True)


def refusal(field: str, layers: Iterable[nn.Module]) -> RequestError:
    """The error of a write to a field that the devices make.

    Args:
        field: Name of the field.
        layers: The layers that have it.
    """
    names = ", ".join(f"`{core.name}`" for core in (getattr(layer, "core", None) for layer in layers) if core)
    return RequestError(
        f"The `{field}` of an optical layer (core {names or 'of its projections'}) is what its devices make, so it "
        "cannot be written. Program the devices: `layer.core.program(matrix)`, with one row for each output; to freeze "
        "or train them, use `layer.core.parameters()`, or `nn.switch(model, mode)`."
    )


def direct_reads(model: nn.Module) -> list[DirectRead]:
    """Every read of an optical layer's weight by another module, in every pass so far, in the order of the model.

    Such a product is right, but none of the chip's converters rounds its input and output. Passes that torch compiles,
    exports or transforms are not seen.
    """
    names = {module: name for name, module in model.named_modules()}
    with _LOCK:
        readings = [(layer, list(_READERS[layer].items())) for layer in names if layer in _READERS]
    return [
        DirectRead(names[layer], names[reader], type(reader).__name__, operation)
        for layer, readers in readings
        for reader, operation in readers
        if reader in names
    ]


def summary(reads: Iterable[DirectRead]) -> list[str]:
    """One line for all reads that are the same but for the number of a block."""
    alike: dict[tuple[str, ...], list[DirectRead]] = {}
    for read in reads:
        place = tuple(re.sub(r"\d+", "*", name) for name in (read.layer, read.reader))
        alike.setdefault((*place, read.kind, read.operation), []).append(read)
    return [
        f"{first}." if not others else f"{first}; {len(others)} more such pairs do the same."
        for first, *others in alike.values()
    ]


# what an operation does with a weight


def _targets(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """What an operation writes into."""
    out = (kwargs["out"],) if kwargs.get("out") is not None else ()
    if name in _WRITES or _INPLACE.fullmatch(name) or kwargs.get("inplace"):
        return (*out, *(args[:1] or tuple(kwargs.values())[:1]))
    return out


def _looks(name: str, args: tuple[Any, ...], kind: type[Tensor]) -> bool:
    """Whether an operation needs no number of the weight; `x.to(weight)` takes over its type alone."""
    return bool(_LOOKS.fullmatch(name)) or (name == "to" and bool(args) and type(args[0]) is not kind)


def _result(result: Any, weights: list[EffectiveWeight], operation: str) -> Any:
    """What an operation gives: a view of a weight is handed out as the weight is, anything else is noted as a read.

    Args:
        result: Of the operation.
        weights: Among its operands.
        operation: Its name; empty where it needs no number of the weight.
    """
    if not weights:
        return result
    if type(result).__module__ == "numpy":  # the same memory
        result.setflags(write=False)
        _note(weights, operation)
        return result
    layers = weights[0].layers
    memory = {weight.untyped_storage().data_ptr() for weight in weights}
    values = _tensors(result)
    views = {id(v): _marked(v, layers) for v in values if type(v) is Tensor and _memory(v) in memory}
    if operation and any(id(v) not in views and type(v) is not EffectiveWeight for v in values):
        _note(weights, operation)
    if isinstance(result, Tensor):
        return views.get(id(result), result)
    if views and isinstance(result, list | tuple):
        parts = [views.get(id(part), part) for part in result]
        return parts if isinstance(result, list) else type(result)(parts)
    return result


def _memory(value: Tensor) -> int:
    return -1 if torch._C._functorch.is_functorch_wrapped_tensor(value) else value.untyped_storage().data_ptr()


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [t for part in value for t in _tensors(part)] if isinstance(value, list | tuple) else []


def _marked(weight: Tensor, layers: tuple[nn.Module, ...], *, whole: bool = False) -> EffectiveWeight:
    effective = weight.as_subclass(EffectiveWeight)
    effective.layers, effective.whole = layers, whole
    return effective


# who reads: reads by others are rare, so the reader is looked for on the stack there, and no pass pays for it

_READERS: WeakKeyDictionary[nn.Module, WeakKeyDictionary[nn.Module, str]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def _note(weights: list[EffectiveWeight], operation: str) -> None:
    for layer in {layer for weight in weights for layer in weight.layers}:
        reader = _reader(layer)
        if reader is not None:
            with _LOCK:
                _READERS.setdefault(layer, WeakKeyDictionary()).setdefault(reader, operation)


def _reader(layer: nn.Module) -> nn.Module | None:
    """The innermost module, other than the layer, whose method, or function of it, is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        code = frame.f_code
        if code.co_argcount:
            first = frame.f_locals.get(code.co_varnames[0])
            if isinstance(first, nn.Module) and first is not layer:
                return first
    return None
