"""Results that a module stores for as long as its tensors hold the same values."""

from __future__ import annotations

import ctypes
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.nn.inference import normal_tensors
from lightloom.physics.execution import eager, forward_mode


class CachingModule(nn.Module):
    """A module whose results are stored, each while the parameters and buffers that it depends on keep their values.

    Version counters and addresses do not tell: fused optimisers, `.data`, NumPy views, `set_` and parameters made for
    one call leave them as they were, or use them again. So values are compared, bit by bit, with a copy. A tensor is
    spared that where nobody can have changed it: nobody took it out of this module since it was last compared, and
    nobody else held it, or its memory, then. In a network that only evaluates, that holds for all of them.

    Threads may share the module: a result is stored only if its tensors did not change while it was computed.
    Memory that other processes write to is compared in every call.
    """

    def __init__(self) -> None:
        self.__dict__["_taken"] = {}
        super().__init__()
        self._taken: dict[str, int]
        self._compared: dict[str, int] = {}
        self._copies: dict[str, tuple[Tensor | None, int]] = {}
        self._results: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def cached(self, result: str, names: Sequence[str], compute: Callable[[], Any], *, context: object = None) -> Any:
        """The result of `compute()`, from an earlier call where no tensor has changed since.

        Nothing is stored where a gradient must flow, or where a tool of torch looks at the computation.

        Args:
            result: Name of the result.
            names: All parameters and buffers that it depends on; None among them counts as a value.
            compute: Makes it. It reads tensors by `own`, which does not let others change them.
            context: Anything else that it depends on, compared by identity.
        """
        if not eager() or forward_mode() or self._differentiated(names):
            return compute()
        suspects = self._suspects(names)
        if not all(_plain(self.own(name)) for name in suspects):
            return compute()
        key = (context, *self._numbers(names, suspects))
        stored = self._results.get(result)
        if stored is not None and stored[0] == key and stored[0][0] is context:
            return stored[1]
        # what is stored may meet autograd later, whatever mode this call runs in
        with normal_tensors(), torch.no_grad():
            value = compute()
        if self._numbers(names, self._suspects(names)) == key[1:]:
            self._results[result] = key, value
        return value

    def own(self, name: str) -> Any:
        """A parameter or buffer, None included, for this module's own reading: it goes to nobody else."""
        if torch.compiler.is_compiling():
            return getattr(self, name)
        for tensors in (self.__dict__["_parameters"], self.__dict__["_buffers"]):
            if name in tensors:
                return tensors[name]
        return getattr(self, name)  # a parametrized one, made anew for everybody who asks

    def forget(self) -> None:
        """Drop every stored result."""
        for stored in (self._compared, self._copies, self._results):
            stored.clear()

    def _differentiated(self, names: Sequence[str]) -> bool:
        if not torch.is_grad_enabled():
            return False
        tensors = (self.own(name) for name in names)
        return any(tensor is not None and tensor.requires_grad for tensor in tensors)

    # every way to a tensor passes here

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        if isinstance(value, Tensor) and not torch.compiler.is_compiling():
            self._taken[name] = next(_NUMBERS)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self.__dict__["_parameters"] or name in self.__dict__["_buffers"]:
            self._taken[name] = next(_NUMBERS)

    @property
    def _parameters(self) -> dict[str, Any]:
        return self._exposed("_parameters")

    @_parameters.setter
    def _parameters(self, tensors: dict[str, Any]) -> None:
        self.__dict__["_parameters"] = tensors

    @property
    def _buffers(self) -> dict[str, Any]:
        return self._exposed("_buffers")

    @_buffers.setter
    def _buffers(self, tensors: dict[str, Any]) -> None:
        self.__dict__["_buffers"] = tensors

    def _exposed(self, which: str) -> dict[str, Any]:
        tensors: dict[str, Any] = self.__dict__[which]
        if not torch.compiler.is_compiling():
            self._taken.update(dict.fromkeys(tensors, next(_NUMBERS)))
        return tensors

    # a number for each value

    def _numbers(self, names: Sequence[str], suspects: Sequence[str]) -> tuple[int, ...]:
        """A number for each tensor, which is another one as soon as a value of it is another."""
        fresh = {name: self._compare(name) for name in suspects}
        copies = self._copies
        return tuple([fresh[name] if name in fresh else copies[name][1] for name in names])

    def _suspects(self, names: Sequence[str]) -> list[str]:
        """Tensors that somebody may have changed since they were compared."""
        at_comparison, uses = self._compared, self._taken
        return [name for name in names if at_comparison.get(name, -1) != uses.get(name, 0)]

    def _compare(self, name: str) -> int:
        """The number of the tensor, a new one if its value is another."""
        uses = self._taken.get(name, 0)  # first: who takes it from now on makes it suspect again
        parameters, buffers = self.__dict__["_parameters"], self.__dict__["_buffers"]
        foreign = name not in parameters and name not in buffers
        trusted = not (foreign or held(parameters, name) or held(buffers, name))
        tensor = self.own(name)
        copy, number = self._copies.get(name, (None, 0))
        if not number or not same_values(tensor, copy):
            with normal_tensors(), torch.no_grad():
                copy = None if tensor is None else tensor.detach().clone(memory_format=torch.contiguous_format)
            number = next(_NUMBERS)
            self._copies[name] = copy, number
        if trusted:
            self._compared[name] = uses
        return number

    # copies of the module start without results

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_taken": {}, "_compared": {}, "_copies": {}, "_results": {}}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CachingModule:
        self.forget()  # what was stored may be large, and is of no use on another device
        with normal_tensors():  # what is moved or cast must be able to train later
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


_NUMBERS = itertools.count(1)  # of values and of takings, in all modules: two threads never get the same one

_C = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
_compare_bytes = _C.memcmp
_compare_bytes.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_compare_bytes.restype = ctypes.c_int


def same_values(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two tensors agree in type, device, shape and every bit; NaN on another device than the CPU never does.

    Args:
        one: A tensor, or None.
        other: Likewise.
    """
    if one is None or other is None:
        return one is other
    if one.dtype != other.dtype or one.device != other.device or one.shape != other.shape:
        return False
    if one.is_cpu and one.is_contiguous() and other.is_contiguous():
        return bool(_compare_bytes(one.data_ptr(), other.data_ptr(), one.nbytes) == 0)
    return torch.equal(one, other)


def held(tensors: Mapping[str, Tensor | None], name: str) -> bool:
    """Whether somebody beside this mapping may hold the tensor, or its memory.

    Args:
        tensors: The mapping that holds it.
        name: Its key there.
    """
    return tensors.get(name) is not None and _holders(tensors, name) != _NO_OTHER


def _holders(tensors: Mapping[str, Tensor | None], name: str) -> tuple[int | bool, ...]:
    """References to the tensor and its storage, uses of its memory, and whether that is of another making."""
    tensor = tensors[name]
    assert tensor is not None
    storage = tensor.untyped_storage()
    uses = torch._C._storage_Use_Count(storage._cdata)
    # memory that a NumPy array lent cannot be resized, and other processes write to what is shared
    lent = storage.is_shared() or not storage.resizable()
    return sys.getrefcount(tensor), sys.getrefcount(storage), uses, lent


_NO_OTHER = _holders({"one": torch.zeros(1)}, "one")


def _plain(tensor: Tensor | None) -> bool:
    """Whether a tensor has values of its own, and is of no subclass that stands for something else."""
    return tensor is None or (type(tensor) in (Tensor, nn.Parameter) and not tensor.is_meta)
