"""Modules that `torch.fx.symbolic_trace` calls as they are, as it calls those of torch."""

from __future__ import annotations

from typing import Any

from torch import fx, nn


def traced(value: object) -> bool:
    """Whether this stands for a tensor in a symbolic trace."""
    return isinstance(value, fx.Proxy)


def call_as_leaf(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """One node of the trace that calls the module, whose weight would be frozen in a trace of its inside.

    Args:
        module: It is found by its place in the model that is traced.
        *args: As given to its forward, one of them `traced`.
        **kwargs: The same.
    """
    tracer = next(value.tracer for value in (*args, *kwargs.values()) if isinstance(value, fx.Proxy))
    return tracer.create_proxy("call_module", tracer.path_of_module(module), args, kwargs)  # type: ignore[attr-defined]
