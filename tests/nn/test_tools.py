"""Tools of torch that look at the computation, on converted models in evaluation: each agrees with plain torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

from lightloom import chips
from lightloom.nn import convert, install
from lightloom.physics import compiled

X = torch.linspace(-1, 1, 24).reshape(4, 6)
CHIPS = {
    "ideal": (chips.preset("ideal"), "usv"),
    "l2ight": (chips.preset("l2ight"), "usv"),
    "phases": (chips.preset("l2ight"), "phase"),
    "complex": (chips.preset("l2ight").replace(field="complex", block_size=4), "phase"),
    "thermo-optic": (chips.preset("thermo-optic"), "usv"),
    "elight": (chips.preset("elight").replace(absorption_std=0.02), None),
}
kinds = pytest.mark.parametrize("kind", CHIPS)
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
_SLOW = ("export, strict", "compile", "compile, no_grad")  # some ten seconds each: two kinds of chips stand for all


@pytest.fixture(params=["torch", "compiled"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "compiled" and not compiled.available():
        pytest.skip("the kernels are not built")
    with compiled.use(request.param):
        yield request.param


def network(kind: str, specimen: int = 0) -> nn.Module:
    torch.manual_seed(0)
    chip, mode = CHIPS[kind]
    model = convert(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 5)), chip, mode=mode).model  # type: ignore[arg-type]
    install(model, specimen)
    return model.eval()


def answer(model: nn.Module, x: Tensor = X) -> Tensor:
    with torch.no_grad():
        output: Tensor = model(x)
    return output


def trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def loss_of(model: nn.Module) -> Callable[[dict[str, Tensor]], Tensor]:
    def loss(parameters: dict[str, Tensor]) -> Tensor:
        output: Tensor = functional_call(model, parameters, (X,))
        return output.square().sum()

    return loss


def gradients(model: nn.Module) -> dict[str, Tensor]:
    parameters = trained(model)
    values = torch.autograd.grad(loss_of(model)(parameters), list(parameters.values()))
    return dict(zip(parameters, values, strict=True))


def tracers() -> dict[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]]:
    def compiled_without_gradients(model: nn.Module) -> Callable[[Tensor], Tensor]:
        function = torch.compile(model, fullgraph=True, backend="aot_eager")
        return lambda x: answer(function, x)  # type: ignore[arg-type]

    return {
        "export": lambda model: torch.export.export(model, (X,)).module(),
        "export, strict": lambda model: torch.export.export(model, (X,), strict=True).module(),
        "compile": lambda model: torch.compile(model, fullgraph=True, backend="aot_eager"),  # type: ignore[dict-item, return-value]
        "compile, no_grad": compiled_without_gradients,
        "jit.trace": lambda model: torch.jit.trace(model, X),  # type: ignore[no-untyped-call]
        "fx": torch.fx.symbolic_trace,
    }


@pytest.mark.parametrize(
    ("kind", "tool"),
    [(kind, tool) for kind in CHIPS for tool in tracers() if tool not in _SLOW or kind in ("phases", "elight")],
)
def test_what_is_traced_answers_the_same_and_leaves_the_model_alone(kind: str, tool: str, backend: str) -> None:
    if tool in _SLOW and backend == "compiled" and kind == "elight":
        pytest.skip("crossbars are compiled on one backend")
    torch._dynamo.reset()
    model = network(kind)
    before = answer(model)
    traced = tracers()[tool](model)
    torch.testing.assert_close(traced(X).detach(), before)
    for parameter in model.parameters():
        parameter.data.mul_(0.7)
    after = answer(copy.deepcopy(model))
    torch.testing.assert_close(answer(model), after, rtol=0, atol=0)
    if "export" not in tool:  # an exported program has parameters of its own
        torch.testing.assert_close(traced(X).detach(), after)


@kinds
def test_gradients_by_functional_transforms(kind: str) -> None:
    model = network(kind)
    answer(model)
    torch.testing.assert_close(grad(loss_of(model))(trained(model)), gradients(model), rtol=1e-4, atol=1e-5)
    answer(model)


@kinds
def test_jacobians_of_the_input(kind: str) -> None:
    model = network(kind)
    if CHIPS[kind][0].output_bits is not None:
        pytest.skip("straight through a converter a Jacobian is no limit of differences")
    rows = [torch.autograd.grad(model(x := X[0].clone().requires_grad_())[row], x)[0] for row in range(5)]
    torch.testing.assert_close(jacrev(model)(X[0]), torch.stack(rows), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(jacfwd(model)(X[0]), torch.stack(rows), rtol=1e-4, atol=1e-5)
    tangent = torch.randn(6)
    torch.testing.assert_close(jvp(model, (X[0],), (tangent,))[1], torch.stack(rows) @ tangent, rtol=1e-4, atol=1e-5)


@kinds
def test_vmap_over_a_batch(kind: str) -> None:
    model = network(kind)
    torch.testing.assert_close(vmap(model)(X), answer(model))


@kinds
def test_vmap_over_specimens(kind: str) -> None:
    models = [network(kind, specimen) for specimen in range(3)]
    parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]
    with torch.no_grad():
        together = vmap(lambda p, b: functional_call(models[0], (p, b), (X,)))(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([answer(model) for model in models]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answer(models[0]), answer(copy.deepcopy(models[0])), rtol=0, atol=0)


@kinds
def test_second_derivatives(kind: str) -> None:
    """Of the singular values, or of the matrix behind the levels: twice backward and the Hessian agree."""
    model = network(kind)
    names = [name for name in trained(model) if name.endswith(("sigma", "matrix"))][:1]
    parameters = {name: trained(model)[name] for name in names}

    def loss(value: Tensor) -> Tensor:
        output: Tensor = functional_call(model, {names[0]: value}, (X,))
        return output.square().sum()

    value = parameters[names[0]].detach().clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(value), value, create_graph=True)
    direction = torch.randn_like(value)
    (product,) = torch.autograd.grad((first * direction).sum(), value)
    expected = torch.einsum("ij,j->i", hessian(loss)(value.detach()).reshape(2 * [value.numel()]), direction.flatten())
    torch.testing.assert_close(product.flatten(), expected, rtol=1e-3, atol=1e-4)
