"""Every module of light under every tool of torch: numbers are those of a plain call, or a refusal says what to do."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn import DiffractiveConv2d, DiffractiveNetwork, SaturableAbsorber
from lightloom.nn.all_optical import AllOptical, OpticalPass
from lightloom.physics.absorber.curves import curve

CHIP = DiffractiveChip(name="test", grid=14, mask=6, layers=2, distance_in=2e-5, distance=3e-5, phase_bits=4)
TRAINED = ("optical_depth", "saturation_intensity")
CURVE = curve([0.5, 1.0, 2.0, 3.0], [0.1, 0.5, 1.5, 1.8])


def conv(**options: Any) -> nn.Module:
    return DiffractiveConv2d(4, 4, CHIP, bias=True, **options)


def network(**options: Any) -> nn.Module:
    return DiffractiveNetwork((1, 6, 6), 4, CHIP.replace(mask=10), **options)


def absorber(**options: Any) -> nn.Module:
    return SaturableAbsorber(3.0, 0.7, **options)


def all_optical() -> nn.Module:
    return AllOptical(nn.Sequential(nn.Linear(3, 4, bias=False), SaturableAbsorber(3.0), nn.Linear(4, 2, bias=False)))


MAPS, IMAGES, FIELDS = (2, 4, 5, 6), (2, 1, 6, 6), (5, 3)
MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (conv, MAPS),
    "grouped": (lambda: conv(mixing="grouped", groups=2), MAPS),
    "depthwise": (lambda: conv(mixing="depthwise"), MAPS),
    "shared, learnt distances": (lambda: conv(mixing="shared", learn_distance=True), MAPS),
    "network": (network, IMAGES),
    "network, learnt distances": (lambda: network(learn_distance=True), IMAGES),
    "thin": (lambda: absorber(trainable=TRAINED), FIELDS),
    "thin, probe": (lambda: absorber(trainable=TRAINED, gradient="probe"), FIELDS),
    "thin, identity": (lambda: absorber(gradient="identity"), FIELDS),
    "propagated": (lambda: absorber(form="propagated", trainable=TRAINED), FIELDS),
    "propagated, inhomogeneous": (lambda: absorber(form="propagated", broadening="inhomogeneous"), FIELDS),
    "propagated, residual": (lambda: absorber(form="propagated", residual=0.5), FIELDS),
    "curve": (lambda: SaturableAbsorber.measured(CURVE), FIELDS),
    "curve, probe": (lambda: SaturableAbsorber.measured(CURVE, gradient="probe"), FIELDS),
    "all-optical": (all_optical, FIELDS),
}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")  # torch's own, of forward derivatives


@pytest.fixture(params=MODULES)
def model(request: pytest.FixtureRequest) -> Iterator[nn.Module]:
    torch.manual_seed(1)
    yield MODULES[request.param][0]().double().eval()


@pytest.fixture
def x(request: pytest.FixtureRequest, model: nn.Module) -> Tensor:
    shape = MODULES[request.node.callspec.params["model"]][1]
    return (
        torch.randn(*shape, dtype=torch.float64).abs() if shape == IMAGES else torch.randn(shape, dtype=torch.float64)
    )


def close(given: Any, truth: Any, tolerance: float = 1e-7) -> None:
    torch.testing.assert_close(given, truth, rtol=tolerance, atol=tolerance)


def parameters(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in model.named_parameters()}


def energy(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).square().sum()


def gradients(call: Callable[[Tensor], Tensor], model: nn.Module, x: Tensor) -> list[Tensor]:
    inputs = [x.clone().requires_grad_(), *model.parameters()]
    found = torch.autograd.grad(call(inputs[0]).square().sum(), inputs, allow_unused=True)
    return [torch.zeros_like(value) if slope is None else slope for value, slope in zip(inputs, found, strict=True)]


def jacobian(model: nn.Module, x: Tensor) -> Tensor:
    """Row by row, by plain autograd."""
    return torch.autograd.functional.jacobian(model, x)


def test_grad_of_light_and_parameters(model: nn.Module, x: Tensor) -> None:
    def loss(own: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(model, own, (x,)).square().sum()

    by_own, by_x = torch.func.grad(loss, argnums=(0, 1))(parameters(model), x)
    close([by_x, *by_own.values()], gradients(model, model, x))


def test_batches_and_ensembles_are_mapped_over(model: nn.Module, x: Tensor) -> None:
    close(torch.func.vmap(model)(torch.stack([x, 2 * x])), torch.stack([model(x), model(2 * x)]))
    own = {name: torch.stack([value, 1.1 * value + 0.01]) for name, value in parameters(model).items()}
    if own:
        made = torch.func.vmap(lambda one: torch.func.functional_call(model, one, (x,)))(own)
        each = [{name: value[i] for name, value in own.items()} for i in range(2)]
        close(made, torch.stack([torch.func.functional_call(model, one, (x,)) for one in each]))


def test_derivatives_forwards_and_by_rows(model: nn.Module, x: Tensor) -> None:
    truth, along = jacobian(model, x), torch.randn_like(x)
    close(torch.func.jacrev(model)(x), truth)
    close(torch.autograd.functional.jacobian(model, x, vectorize=True), truth)
    output, slope = torch.func.jvp(model, (x,), (along,))
    close(output, model(x))
    close(slope.flatten(), truth.reshape(output.numel(), -1) @ along.flatten())


def test_second_derivatives_are_those_of_differences_or_refused(model: nn.Module, x: Tensor) -> None:
    if getattr(model, "gradient", "exact") != "exact":
        pytest.skip("what is multiplied by backwards is no derivative")

    def slope(x: Tensor, create: bool = False) -> Tensor:
        return torch.autograd.grad(energy(model, x), x, create_graph=create)[0].square().sum()

    step, along = 1e-5, torch.randn_like(x)
    ends = [slope((x + sign * step * along).requires_grad_()) for sign in (1, -1)]
    truth = (ends[0] - ends[1]) / (2 * step)
    inner = torch.func.grad(lambda x: energy(model, x))
    second = torch.func.grad(lambda x: inner(x).square().sum())(x)
    close((second * along).sum(), truth, 1e-4 * max(1.0, float(truth.abs())))
    x = x.requires_grad_()
    if isinstance(model, SaturableAbsorber | AllOptical):
        with pytest.raises(RuntimeError, match=r"first derivatives only.*torch\.func\.grad"):
            slope(x, create=True)
    else:
        close(torch.autograd.grad(slope(x, create=True), x)[0], second)


def test_export_and_compilation(model: nn.Module, x: Tensor) -> None:
    close(torch.export.export(model, (x,)).module()(x), model(x))
    torch.compiler.reset()
    close(torch.compile(model, backend="eager", fullgraph=True)(x), model(x))
    close(model(x), copy.deepcopy(model)(x))  # nothing of a recording is kept


def test_checkpoints(model: nn.Module, x: Tensor) -> None:
    close(gradients(lambda x: checkpoint(model, x, use_reentrant=False), model, x), gradients(model, model, x))


def test_training_goes_on_after_inference_mode(model: nn.Module, x: Tensor) -> None:
    with torch.inference_mode():
        model(x)
    truth = gradients(copy.deepcopy(model), copy.deepcopy(model), x)
    close(gradients(model, model, x)[0], truth[0])
    entered = x.clone().requires_grad_()
    made = torch.func.grad(lambda x: energy(model, x))(x)  # by other operations, on what may have been kept
    close(made, torch.autograd.grad(energy(model, entered), entered)[0])


def test_meta_and_fake_tensors_leave_nothing_behind(model: nn.Module, x: Tensor) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with torch.device("meta"), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert model(mode.from_tensor(x)).ndim
    with torch.device("meta"):
        there = copy.deepcopy(model)(x)
    empty = copy.deepcopy(model).to("meta")
    assert empty(x.to("meta")).shape == there.shape
    assert str(empty)
    close(model(x), there)


def test_autocast_leaves_light_in_single_precision(model: nn.Module, x: Tensor) -> None:
    model, x = model.float(), x.float()
    plain = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for light in (x, x.bfloat16()):
            torch.testing.assert_close(model(light).float(), plain, rtol=0.05, atol=0.05)


def test_writes_to_parameters_by_any_way_are_seen_at_once(model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        model(x)
        for number, parameter in enumerate(model.parameters()):
            changed = parameter.detach() + 0.01 * (1 + number)
            parameter.data = changed if number % 2 else parameter.data.copy_(changed)
        fresh = copy.deepcopy(model)
        close(model(x), fresh(x), 0)
        for parameter in model.parameters():
            parameter.set_(parameter.detach() * 1.05)  # type: ignore[call-overload]
        again = copy.deepcopy(model)
        close(model(x), again(x), 0)


def test_imperfect_light_has_no_transforms() -> None:
    model = AllOptical(nn.Sequential(nn.Linear(3, 2, bias=False)), OpticalPass(photons=100))
    with pytest.raises(RequestError, match=r"set `light` to `OpticalPass\(\)`"):
        torch.func.vmap(model)(torch.randn(2, 4, 3))


def test_shot_noise_has_first_derivatives_only() -> None:
    layer = DiffractiveConv2d(2, 2, CHIP.replace(photons=50))
    maps = torch.rand(1, 2, 5, 5, requires_grad=True)
    with pytest.raises(RuntimeError, match="set `photons` to None"):
        torch.autograd.grad(layer(maps).sum(), maps, create_graph=True)
