"""Conversion, casts, evaluation and training in any order, under every mode of torch."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lightloom import chips
from lightloom.nn import convert, install, switch

X = torch.linspace(-1, 1, 24).reshape(4, 6)
MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "plain": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference_mode and autocast": lambda: _both(),
}
PRESETS = ("l2ight", "elight", "thermo-optic")


@contextlib.contextmanager
def _both() -> Any:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        yield


def network(preset: str) -> nn.Module:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5))
    return convert(plain, chips.preset(preset)).model


def dtype_of(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype


def train(model: nn.Module) -> nn.Module:
    """One step, outside of every mode, in which every parameter that may train does."""
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = [parameter.detach().clone() for parameter in trained]
    loss = model(X.to(dtype_of(model))).square().mean()
    gradients = torch.autograd.grad(loss, trained)
    with torch.no_grad():
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter -= 0.1 * gradient
    assert any(not torch.equal(one, other) for one, other in zip(before, trained, strict=True))
    return model


def evaluate(model: nn.Module) -> nn.Module:
    model.eval()(X.to(dtype_of(model)))
    return model


def saliency(model: nn.Module) -> nn.Module:
    """The gradient of the input through frozen layers."""
    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    x = X.to(dtype_of(model)).clone().requires_grad_()
    frozen(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    return model


STEPS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "evaluate": evaluate,
    "double": lambda model: model.double(),
    "float": lambda model: model.float(),
    "install": lambda model: install(model, 1) or model,  # type: ignore[func-returns-value]
    "uninstall": lambda model: install(model, None) or model,  # type: ignore[func-returns-value]
    "weight and back": lambda model: (
        (switch(model, "weight"), switch(model, "usv" if hasattr(model[0].core, "sigma") else "levels")) and model
    ),  # type: ignore[func-returns-value, index, union-attr]
    # torch's own layers cannot train after being copied under inference_mode
    "deepcopy": lambda model: model if torch.is_inference_mode_enabled() else copy.deepcopy(model),
    "program": lambda model: model[0].core.program(torch.eye(7, 6, dtype=dtype_of(model))) or model,  # type: ignore[index, union-attr, operator]
    "read": lambda model: model[0].weight.sum() is None or model,  # type: ignore[index, union-attr, operator]
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", STEPS)
def test_training_goes_on_after_any_step_in_any_mode(preset: str, mode: str, step: str) -> None:
    model = network(preset)
    evaluate(model)
    with MODES[mode]():
        model = STEPS[step](model)
    saliency(model)
    train(model)
    with torch.no_grad():
        x = X.to(dtype_of(model))
        torch.testing.assert_close(model.eval()(x), copy.deepcopy(model)(x), rtol=0, atol=0)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mode", MODES)
def test_a_model_converted_in_any_mode_trains_later(preset: str, mode: str) -> None:
    with MODES[mode]():
        model = network(preset)
    saliency(model)
    train(model)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(PRESETS),
    st.lists(st.tuples(st.sampled_from(sorted(MODES)), st.sampled_from(sorted(STEPS))), min_size=2, max_size=6),
)
def test_any_order(preset: str, sequence: list[tuple[str, str]]) -> None:
    model = network(preset)
    for mode, step in sequence:
        with MODES[mode]():
            model = STEPS[step](model)
        train(model)


def test_gradient_checkpointing() -> None:
    from torch.utils.checkpoint import checkpoint

    for preset in PRESETS:
        model = network(preset)
        x = X.clone().requires_grad_()
        trained = [x, *(p for p in model.parameters() if p.requires_grad)]
        direct = torch.autograd.grad(model(x).square().sum(), trained)
        for reentrant in (False, True):
            outputs: Tensor = checkpoint(model, x, use_reentrant=reentrant)
            torch.testing.assert_close(_gradients(outputs, trained), direct)


def _gradients(outputs: Tensor, trained: list[Tensor]) -> tuple[Tensor, ...]:
    for tensor in trained:
        tensor.grad = None
    outputs.square().sum().backward()
    return tuple(tensor.grad for tensor in trained)  # type: ignore[misc]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_model_without_memory_gets_its_devices_back(preset: str) -> None:
    """What is saved comes with the weights; errors and wiring are no part of them and must not be what memory held."""
    model = network(preset).eval()
    install(model, 3)
    back = copy.deepcopy(model).to("meta").to_empty(device="cpu")
    with torch.no_grad():
        for buffer in back.buffers():
            assert not buffer.is_meta
        back.load_state_dict(model.state_dict())
        torch.testing.assert_close(back(X), model(X), rtol=0, atol=0)
