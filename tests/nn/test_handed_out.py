"""The weight that a layer hands out: read-only, apart from what evaluation uses, and its readers are known."""

import copy
import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import OpticalLinear, convert, direct_reads, switch
from lightloom.nn.effective import EffectiveWeight

IDEAL, L2IGHT = chips.preset("ideal"), chips.preset("l2ight")


def inplace_operations() -> list[str]:
    """Every method of a tensor that changes it, as torch names them."""
    names = [name for name in dir(Tensor) if name.endswith("_") and not name.endswith("__") and name[0] != "_"]
    return [name for name in names if callable(getattr(Tensor, name))]


@pytest.mark.parametrize("grad", [True, False])
def test_every_operation_in_place_is_refused(grad: bool) -> None:
    layer = OpticalLinear(4, 4, chip=L2IGHT)
    names = inplace_operations()
    ignored = {getattr(function, "__name__", "") for function in torch.overrides.get_ignored_functions()}
    assert len(names) > 100
    with torch.set_grad_enabled(grad):
        for name in names:
            views = (layer.weight.data, layer.weight.detach(), layer.weight[0], layer.weight.T)
            for weight in (layer.weight, *(() if name == "requires_grad_" else views)):
                assert type(weight) is EffectiveWeight
                with pytest.raises(RequestError, match="cannot be written"):  # arguments would be checked before
                    EffectiveWeight.__torch_function__(getattr(Tensor, name), (EffectiveWeight,), (weight,))
                assert name not in ignored or name in vars(EffectiveWeight)


def add(weight: Tensor) -> None:
    weight += 1


def fill(weight: Tensor) -> None:
    weight[0, 0] = 1.0


def data(weight: Tensor) -> None:
    weight.data = torch.zeros(4, 4)


def freeze(weight: Tensor) -> None:
    weight.requires_grad = False


WRITES: list[Callable[[Tensor], Any]] = [
    add,
    fill,
    data,
    freeze,
    nn.init.xavier_uniform_,
    nn.init.kaiming_normal_,
    nn.init.orthogonal_,
    nn.init.zeros_,
    nn.init.trunc_normal_,
    lambda weight: weight.set_(torch.zeros(4, 4)),
    lambda weight: weight.view(-1).copy_(torch.zeros(16)),
    lambda weight: weight.unbind(0)[1].zero_(),
    lambda weight: weight.chunk(2)[0].mul_(2),
    lambda weight: torch.add(weight, 1, out=weight),
    lambda weight: F.relu(weight, inplace=True),
    lambda weight: torch._foreach_mul_([weight], 2.0),
    lambda weight: nn.utils.vector_to_parameters(torch.zeros(16), [weight]),
]


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_other_ways_to_write_are_refused_and_change_nothing(number: int) -> None:
    layer, x = OpticalLinear(4, 4, chip=L2IGHT).eval(), torch.randn(2, 4)
    with torch.no_grad():
        expected = layer(x)
        with pytest.raises(RequestError, match="Program the devices"):
            WRITES[number](layer.weight)
        assert torch.equal(layer(x), expected)


def test_nothing_that_is_handed_out_is_what_is_kept() -> None:
    layer, x = OpticalLinear(4, 4, chip=L2IGHT).eval(), torch.randn(2, 4)
    with torch.no_grad():
        expected = layer(x)
        layer.weight.as_subclass(Tensor).zero_()
        array = layer.weight.numpy()
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
        assert torch.equal(layer(x), expected)


def test_it_computes_as_any_tensor_and_takes_its_gradient_along() -> None:
    layer = OpticalLinear(4, 3, chip=IDEAL).double()
    weight = layer.weight
    assert (weight.shape, weight.dtype, weight.device.type, weight.requires_grad) == (
        (3, 4),
        torch.float64,
        "cpu",
        True,
    )
    x = torch.randn(2, 4, dtype=torch.float64)
    product = F.linear(x, weight, layer.bias)
    assert type(product) is Tensor
    torch.testing.assert_close(product, layer(x))
    (read,) = torch.autograd.grad(F.linear(x, layer.weight).square().sum(), layer.core.sigma)
    (called,) = torch.autograd.grad((layer(x) - layer.bias).square().sum(), layer.core.sigma)
    torch.testing.assert_close(read, called)
    leaf = layer.weight.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(F.linear(x, leaf).sum(), leaf)
    torch.testing.assert_close(gradient, x.sum(0).expand(3, 4))
    torch.testing.assert_close(layer.weight, nn.Parameter(weight.detach().clone()))
    assert type(copy.deepcopy(layer.weight)) is Tensor
    file = io.BytesIO()
    torch.save({"weight": layer.weight}, file)
    file.seek(0)
    assert type(torch.load(file, weights_only=True)["weight"]) is Tensor


class Reader(nn.Module):
    """Multiplies by the weight of a layer that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.table.weight.dtype), self.table.weight, self.table.bias)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.reader, self.head = nn.Linear(4, 4), Reader(), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.reader(self.first(x)))


def test_who_reads_is_told_after_a_pass_by_name() -> None:
    model, x = Network().eval(), torch.randn(2, 4)
    conversion = convert(model, IDEAL)
    assert conversion.reads == []
    torch.testing.assert_close(conversion.model(x), model(x), atol=1e-5, rtol=1e-5)
    (read,) = conversion.reads
    assert read == ("reader.table", "reader", "Reader", "linear")
    assert "`reader` (Reader) computes with the weight of `reader.table` itself" in str(conversion).splitlines()[-1]
    assert direct_reads(nn.Sequential(conversion.model))[0].reader == "0.reader"
    twin = copy.deepcopy(conversion.model)
    assert direct_reads(twin) == []  # a copy has made no pass yet
    twin(x)
    assert len(direct_reads(twin)) == 1


def test_looking_at_form_and_type_is_no_read() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            weight = self.layer.weight
            assert weight.shape == (4, 4) and weight.size(0) == weight.numel() // 4 and weight.is_floating_point()
            x = x.to(weight.device, weight.dtype).to(weight).type_as(weight) + weight.new_zeros(4)
            return self.layer(x + torch.zeros_like(weight)[0])

    conversion = convert(Looks(), IDEAL)
    conversion.model(torch.randn(2, 4))
    assert conversion.reads == []


def test_reads_by_functions_views_and_threads_are_told() -> None:
    def multiply(module: nn.Module, x: Tensor) -> Tensor:
        return x @ module.layer.weight.t()[:, :2]

    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return multiply(self, x)

    models = [convert(nn.Sequential(Calls()), IDEAL) for _ in range(4)]
    threads = [threading.Thread(target=conversion.model, args=(torch.randn(2, 4),)) for conversion in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for conversion in models:
        assert [(read.layer, read.reader, read.operation) for read in conversion.reads] == [("0.layer", "0", "matmul")]


def test_reads_of_attention_by_its_own_names_are_told() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            a = self.attention
            given = (a.in_proj_weight, a.in_proj_bias, a.bias_k, a.bias_v, False, 0.0, a.out_proj.weight)
            return F.multi_head_attention_forward(x, x, x, 8, 2, *given, a.out_proj.bias, training=False)[0]

    model, x = Functional().eval(), torch.randn(3, 2, 8)
    conversion = convert(model, IDEAL)
    torch.testing.assert_close(conversion.model(x), model(x), atol=1e-5, rtol=1e-5)
    assert {read.layer for read in conversion.reads} == {f"attention.{n}_proj" for n in ("q", "k", "v", "out")}


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:DeprecationWarning")
def test_tracing_and_transforms_see_a_plain_tensor() -> None:
    model, x = Network().eval(), torch.randn(2, 4)
    made = convert(model, IDEAL).model
    switch(made, "weight")
    expected = model(x)
    program = torch.export.export(made, (x,)).module()
    torch.testing.assert_close(program(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.jit.trace(made, x)(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.vmap(made)(x), expected, atol=1e-5, rtol=1e-5)
    parameters = dict(made.named_parameters())

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(made, parameters, (x,)).square().sum()

    gradients = torch.func.grad(loss)(parameters)
    assert gradients["reader.table.core.matrix"].abs().sum() > 0
