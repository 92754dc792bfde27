"""Kernels as operators of torch, `torch.ops.lightloom.*`: one node of known shape to whoever traces or compiles.

An operator does its work with a kernel where `library()` has one and every tensor is plain memory of this machine, and
with torch elsewhere. `define` registers with it the shapes of its results, for fake and meta tensors; its batching
rule, for `torch.vmap`; and its gradient. A kernel is differentiated once, and backwards. Whoever wants more (transforms
of functorch, forward-mode differentiation, derivatives of derivatives) is given the operator's differentiable form in
functions of torch instead: slower, and right to any order.

`torch.library.custom_op` does the same for 16 us per call (39 us where a gradient flows) on a processor where this way
takes 4 us (23 us) through torch's dispatcher and 2 us where nobody watches; `torch.library.register_autograd` knows
neither functorch's transforms nor forward-mode differentiation, where it leaves out the tangent without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightloom.physics.compiled import library
from lightloom.physics.execution import has_numbers, transformed

_NAMESPACE = "lightloom"
_OPERATORS: Any = torch.library.Library(_NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]

DEFINED: dict[str, Callable[..., Any]] = {}
"""Every operator, by its name without the namespace; those of a module are there once it is imported."""

Rule = Callable[[Callable[..., Any]], Callable[..., tuple[Any, Any]]]
"""A batching rule made from an operator, as `torch.library.register_vmap` takes it."""


class Gradient(NamedTuple):
    """How an operator is differentiated."""

    plain: Callable[..., Any]
    """The operator in functions of torch that can be differentiated as often as one likes."""
    pull: Callable[..., tuple[Tensor | None, ...] | None]
    """`pull(inputs, outputs, grads, needs)`: gradients of the first inputs where `needs` asks for them, None elsewhere;
    or None as a whole where `plain` is to be differentiated instead.

    `inputs` are the operator's; `outputs` is what it made where `keeps_output` asks for that, else None; `grads` holds
    None where no gradient comes back through an output."""
    keeps_output: bool = False
    """Whether `pull` needs the output: it is then held until the backward pass."""


def define(
    schema: str,
    run: Callable[..., Any],
    fake: Callable[..., Any],
    batched: Rule,
    gradient: Gradient | None = None,
) -> Callable[..., Any]:
    """Register an operator.

    Args:
        schema: Its name and types in the language of `torch.library.define`, without the namespace.
        run: What it does, on real tensors of any device.
        fake: The same arguments: empty results of the right shape and dtype.
        batched: Its batching rule: `folded`, `leading` or `one_by_one`.
        gradient: How it is differentiated; None where its inputs are detached by whoever calls it.

    Returns:
        The operator; where nobody watches, what it does is called without torch's dispatcher, which saves 5 to 15 us.
    """
    name = f"{_NAMESPACE}::{schema.partition('(')[0]}"
    _OPERATORS.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _OPERATORS.impl(name, run, "CompositeExplicitAutograd")
    torch.library.register_fake(name, fake, lib=_OPERATORS)
    operator: Callable[..., Any] = getattr(torch.ops.lightloom, name.partition("::")[2]).default
    torch.library.register_vmap(name, batched(operator), lib=_OPERATORS)
    recorded = None if gradient is None else _recorded(operator, run, gradient)
    if gradient is not None:
        _OPERATORS.impl(name, _autograd(operator, recorded, gradient), "Autograd", with_keyset=True)
    DEFINED[name.partition("::")[2]] = operator

    def call(*arguments: Any) -> Any:
        if not _undisturbed(arguments):
            return operator(*arguments)
        if recorded is not None and torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments):
            return recorded.apply(None, *arguments)
        return run(*arguments)

    return call


def serves(*tensors: Tensor | None) -> bool:
    """Whether the kernels are there and may read these: numbers that lie, unmasked, in the memory of this machine."""
    return all(tensor is None or is_plain(tensor) for tensor in tensors) and library() is not None


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is memory of this machine: on the CPU, strided, not empty, and no stand-in for other tensors."""
    return has_numbers(tensor) and tensor.is_cpu and tensor.layout is torch.strided and tensor.numel() > 0


_REAL = (Tensor, torch.nn.Parameter)
_REAL_OR_NUMBER = (*_REAL, int, float)


def address(tensor: Tensor | None, dtype: torch.dtype, *, dense: bool = True) -> int | None:
    """The address of a tensor's numbers, for a kernel that takes them as they are; None of None.

    Args:
        tensor: What a kernel reads or writes.
        dtype: What the kernel takes it for.
        dense: It has to be contiguous; else any order without gaps will do, which the caller looks after.

    Raises:
        ValueError: It is not plain memory of that type: a kernel would read or write elsewhere.
    """
    if tensor is None:
        return None
    fit = type(tensor) in _REAL and tensor.is_cpu and tensor.layout is torch.strided and tensor.dtype is dtype
    if fit and (tensor.is_contiguous() or not dense) and not tensor.is_conj() and not tensor.is_neg():
        pointer, size = tensor.data_ptr(), tensor.untyped_storage().nbytes()
        if size >= (tensor.storage_offset() + tensor.numel()) * tensor.element_size() and (pointer or not size):
            return pointer
    raise ValueError(
        f"a compiled kernel takes contiguous numbers of {dtype} in the memory of this machine, got a "
        f"{type(tensor).__name__} {list(tensor.shape)} of {tensor.dtype} on `{tensor.device}` ({tensor.layout}), whose "
        "storage may have been freed; give `tensor.contiguous()`, or work within `compiled.use('torch')`"
    )


def ready(tensor: Tensor) -> Tensor:
    """The same numbers, contiguous and with no pending conjugation or negation: copied where they are not."""
    return tensor.resolve_conj().resolve_neg().contiguous()


def ordinary(tensor: Tensor) -> Tensor:
    """The same tensor, copied where it was made under inference mode, so that autograd can keep it."""
    if torch.compiler.is_compiling():
        return tensor
    return tensor.clone() if tensor.is_inference() and not torch.is_inference_mode_enabled() else tensor


def folded(operator: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The rule of operators on independent blocks, side by side in the first dimension of all tensors."""

    def rule(info: Any, dimensions: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        whole = (_lead(v, d, info.batch_size) for v, d in zip(arguments, dimensions, strict=True))
        results = operator(*(value.flatten(0, 1) if isinstance(value, Tensor) else value for value in whole))
        outputs = results if isinstance(results, tuple) else (results,)
        apart = tuple(output.unflatten(0, (info.batch_size, -1)) for output in outputs)
        return (apart, (0,) * len(apart)) if isinstance(results, tuple) else (apart[0], 0)

    return rule


def leading(operator: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The rule of operators that take any leading dimensions, the same of all tensors: examples are one more."""

    def rule(info: Any, dimensions: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        outputs = operator(*(_lead(v, d, info.batch_size) for v, d in zip(arguments, dimensions, strict=True)))
        return outputs, (0,) * len(outputs) if isinstance(outputs, tuple) else 0

    return rule


def one_by_one(operator: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The rule of every other operator: one example after the other."""

    def pick(value: Any, dimension: Any, number: int) -> Any:
        if isinstance(value, (list, tuple)):
            places = dimension if isinstance(dimension, (list, tuple)) else [dimension] * len(value)
            return [pick(item, place, number) for item, place in zip(value, places, strict=True)]
        return value if dimension is None else value.select(dimension, number)

    def rule(info: Any, dimensions: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        results = [
            operator(*(pick(value, place, number) for value, place in zip(arguments, dimensions, strict=True)))
            for number in range(info.batch_size)
        ]
        if not isinstance(results[0], tuple):
            return torch.stack(results), 0
        columns = tuple(torch.stack(column) for column in zip(*results, strict=True))
        return columns, (0,) * len(columns)

    return rule


def _lead(value: Any, dimension: int | None, examples: int) -> Any:
    """A tensor with the dimension of examples in front."""
    if not isinstance(value, Tensor):
        return value
    return value.expand(examples, *value.shape) if dimension is None else value.movedim(dimension, 0)


def _undisturbed(arguments: tuple[Any, ...]) -> bool:
    """Whether a call is a plain one: no mode, transform, tracer or compiler is at work, and all tensors are real."""
    if torch.compiler.is_compiling() or torch._C._len_torch_function_stack() or transformed():
        return False
    if torch._C._len_torch_dispatch_stack():
        return False
    for value in arguments:
        if isinstance(value, Tensor):
            if type(value) not in _REAL or value.is_meta:
                return False
        elif isinstance(value, list) and not all(type(item) in _REAL_OR_NUMBER for item in value):
            return False
    return True


def _recorded(operator: Any, run: Callable[..., Any], gradient: Gradient) -> Any:
    """The operator with its gradient, as a function of autograd."""

    class Recorded(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, keyset: Any, *arguments: Any) -> Any:
            result = run(*arguments) if keyset is None else _below(operator, keyset, *arguments)
            outputs = result if isinstance(result, tuple) else (result,)
            ctx.rest = [None if isinstance(value, Tensor) else value for value in arguments]
            copies = [ordinary(value) if isinstance(value, Tensor) else None for value in arguments]
            ctx.save_for_backward(*copies, *(outputs if gradient.keeps_output else ()))
            ctx.differ = tuple(map(_differs, outputs))
            ctx.mark_non_differentiable(*(o for o, differs in zip(outputs, ctx.differ, strict=True) if not differs))
            ctx.set_materialize_grads(False)
            return result

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
            saved, needs = ctx.saved_tensors, ctx.needs_input_grad[1:]
            inputs = tuple(r if t is None else t for t, r in zip(saved, ctx.rest, strict=False))
            slopes = None
            if not torch.is_grad_enabled():
                slopes = gradient.pull(inputs, saved[len(inputs) :] or None, grads, needs)
            if slopes is None:  # or a derivative of this one is wanted
                ours = tuple(grad for grad, differs in zip(grads, ctx.differ, strict=True) if differs)
                return None, *_pull_plainly(gradient.plain, inputs, ours, needs)
            return None, *slopes, *[None] * (len(inputs) - len(slopes))

    return Recorded


def _autograd(operator: Any, recorded: Any, gradient: Gradient) -> Callable[..., Any]:
    """What the operator does where autograd is in force."""

    def choose(keyset: Any, *arguments: Any) -> Any:
        if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
            return gradient.plain(*arguments)
        if torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments):
            return recorded.apply(keyset, *arguments)
        return _below(operator, keyset, *arguments)

    return choose


def _below(operator: Any, keyset: Any, *arguments: Any) -> Any:
    with torch._C._AutoDispatchBelowAutograd():
        return operator.redispatch(keyset & torch._C._after_autograd_keyset, *arguments)


def _pull_plainly(
    plain: Callable[..., Any], inputs: tuple[Any, ...], grads: tuple[Tensor | None, ...], needs: tuple[bool, ...]
) -> list[Tensor | None]:
    """The gradients again, as functions that can be differentiated further."""
    places = [number for number, needed in enumerate(needs) if needed]

    def of(*values: Tensor) -> tuple[Tensor, ...]:
        replaced = dict(zip(places, values, strict=True))
        results = plain(*(replaced.get(number, value) for number, value in enumerate(inputs)))
        return tuple(output for output in (results if isinstance(results, tuple) else (results,)) if _differs(output))

    transposed: Any = torch.func.vjp(of, *(inputs[place] for place in places))
    outputs, pull = transposed
    whole = tuple(torch.zeros_like(o) if g is None else g for g, o in zip(grads, outputs, strict=True))
    slopes: list[Tensor | None] = [None] * len(inputs)
    for place, slope in zip(places, pull(whole), strict=True):
        slopes[place] = slope
    return slopes


def _differs(tensor: Tensor) -> bool:
    """Whether a tensor can carry a gradient."""
    return tensor.is_floating_point() or tensor.is_complex()
