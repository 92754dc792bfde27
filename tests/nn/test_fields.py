"""An optical layer has every public field of the layer that it stands for, and takes over what its user gave that."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import Attention, OpticalConv1d, OpticalConv2d, OpticalLayer, OpticalLinear, convert, to_electronic

IDEAL, L2IGHT = chips.preset("ideal"), chips.preset("l2ight")

LAYERS = [
    nn.Linear(5, 3),
    nn.Linear(5, 3, bias=False, dtype=torch.float64),
    nn.Conv1d(4, 6, 3, 2, 1, groups=2),
    nn.Conv1d(4, 6, 3, padding="same", padding_mode="circular", bias=False),
    nn.Conv2d(4, 6, (3, 5), 2, (1, 2), groups=2),
    nn.Conv2d(4, 4, 3, padding="valid", dilation=2, dtype=torch.bfloat16),
    nn.MultiheadAttention(8, 2),
    nn.MultiheadAttention(8, 4, dropout=0.1, bias=False, add_zero_attn=True, batch_first=True),
    nn.MultiheadAttention(8, 2, add_bias_kv=True, kdim=5, vdim=3),
]


def public_names(layer: nn.Module) -> set[str]:
    """Fields of an instance, parameters and modules, annotations and properties of its classes, and its methods."""
    names = {*vars(layer), *layer._parameters, *layer._buffers, *layer._modules}
    for kind in type(layer).__mro__:
        names |= {*vars(kind), *vars(kind).get("__annotations__", {})}
    return {name for name in names if not name.startswith("_") and hasattr(layer, name)}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        tolerance = 0.02 if one.dtype == torch.bfloat16 else 1e-5
        return one.shape == other.shape and one.dtype == other.dtype and torch.allclose(one, other, atol=tolerance)
    return callable(one) or isinstance(one, nn.Module) or bool(one == other)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_public_field_is_there_and_the_same(layer: nn.Module) -> None:
    optical = convert(layer, IDEAL).model
    assert isinstance(optical, type(layer))
    names = public_names(layer)
    assert len(names) > 40
    assert [name for name in sorted(names) if not hasattr(optical, name)] == []
    different = [name for name in sorted(names) if not same(getattr(layer, name), getattr(optical, name))]
    assert different == []


def test_projections_of_transformers_have_their_fields() -> None:
    projection = pytest.importorskip("transformers").pytorch_utils.Conv1D(6, 4)
    optical = convert(projection, IDEAL).model
    assert [name for name in public_names(projection) if not hasattr(optical, name)] == []
    assert (optical.nf, optical.nx, optical.weight.shape) == (6, 4, (4, 6))
    assert not isinstance(optical, nn.Linear)


class Asking(nn.Module):
    """Takes another way where a layer is not what it expects."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.conv, self.sequence = nn.Linear(6, 6), nn.Conv2d(2, 2, 3), nn.Conv1d(2, 2, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(self.linear, nn.Linear) or isinstance(self.sequence, nn.Conv2d):
            return x
        x = self.linear(x.to(self.linear.weight.dtype)) if hasattr(self.linear, "weight") else x
        if isinstance(self.conv, nn.modules.conv._ConvNd) and self.conv.stride[0] == 1:
            x = nn.functional.pad(x, (1, 1, 1, 1))
        x = self.conv(x)
        return self.sequence(x.flatten(2)[..., : 4 * self.sequence.stride[0]]) * self.conv.out_channels


def test_a_network_that_asks_before_it_calls_gives_the_electronic_answer() -> None:
    model, x = Asking().eval(), torch.randn(2, 2, 6, 6)
    torch.testing.assert_close(convert(model, IDEAL).model(x), model(x), atol=1e-5, rtol=1e-5)


def test_torch_asks_an_optical_layer_for_its_fields_in_printing_and_changed_fields_count() -> None:
    layer = nn.Conv2d(2, 3, 3)
    optical = convert(layer, IDEAL).model
    assert layer.extra_repr() in repr(optical)
    layer.stride = optical.stride = (2, 2)
    x = torch.randn(1, 2, 7, 7)
    torch.testing.assert_close(optical(x), layer(x), atol=1e-5, rtol=1e-5)
    assert to_electronic(optical).stride == (2, 2)


class Counter:
    calls = 0

    def __call__(self, *_: Any) -> None:
        self.calls += 1


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv1d, nn.Conv2d, nn.MultiheadAttention])
def test_what_a_user_gave_a_layer_goes_along_there_and_back(kind: type[nn.Module]) -> None:
    layer: Any = kind(4, 4) if kind is nn.Linear else kind(4, 2) if kind is nn.MultiheadAttention else kind(4, 4, 3)
    layer.note, layer.table = "mine", {"a": [1]}
    layer.register_buffer("seen", torch.ones(3))
    layer.register_buffer("passing", torch.zeros(2), persistent=False)
    layer.scale = nn.Parameter(torch.ones(2), requires_grad=False)
    layer.act = nn.ReLU()
    layer.bias_name = "b"
    if kind is not nn.MultiheadAttention:
        layer.bias.requires_grad_(False)
    layer.eval()
    names = {"note", "table", "seen", "passing", "scale", "act", "bias_name"}
    for optical in (convert(layer, IDEAL).model, convert(copy.deepcopy(layer), IDEAL, inplace=True).model):
        assert isinstance(optical, OpticalLayer | Attention)
        for made in (optical, to_electronic(optical)):
            assert all(hasattr(made, name) for name in names)
            assert (made.note, made.table, made.training) == ("mine", {"a": [1]}, False)
            assert "seen" in made.state_dict()
            assert "passing" not in made.state_dict()
            assert not made.scale.requires_grad
            assert kind is nn.MultiheadAttention or not made.bias.requires_grad
        assert type(to_electronic(optical)) is kind
        assert list(to_electronic(optical).state_dict()) == list(layer.state_dict())


def test_hooks_of_every_kind_go_along_and_their_handles_take_them_away() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    counters = [Counter() for _ in range(6)]
    layer = model[0]
    handles = [
        layer.register_forward_hook(counters[0]),
        layer.register_forward_pre_hook(counters[1]),
        layer.register_forward_hook(lambda module, args, kwargs, output: counters[2](), with_kwargs=True),
        layer.register_forward_pre_hook(lambda module, args, kwargs: counters[3](), with_kwargs=True),
        layer.register_full_backward_hook(counters[4]),
        layer.register_full_backward_pre_hook(counters[5]),
    ]
    made = convert(model, IDEAL, inplace=True).model
    assert isinstance(made[0], OpticalLinear)
    x = torch.randn(2, 3, requires_grad=True)
    made(x).sum().backward()
    assert [counter.calls for counter in counters] == [1] * 6
    for handle in handles:
        handle.remove()
    made(x).sum().backward()
    assert [counter.calls for counter in counters] == [1] * 6


def test_what_cannot_go_along_keeps_a_layer_electronic_with_the_reason() -> None:
    named, hooked, owned = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
    named.core = "mine"
    hooked.register_state_dict_post_hook(lambda *_: None)
    model = nn.ModuleDict({"named": named, "hooked": hooked, "owned": owned})
    model.kept = {"weights": [owned.weight]}
    reasons = {layer.name: layer.reason for layer in convert(model, L2IGHT).layers}
    assert "its attribute `core` has the name" in reasons["named"]
    assert "hooks on its state dict" in reasons["hooked"]
    assert "is held by `kept` too" in reasons["owned"]


class Branches(nn.Module):
    """Calls its layers through lists, dictionaries, tuples, objects and bound methods."""

    class Box:
        layer: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(4, 4) for _ in range(5))
        self.order = [self.parts[0]]
        self.named = {"one": (self.parts[1],)}
        self.box = Branches.Box()
        self.box.layer = self.parts[2]
        self.call = self.parts[3].forward
        self.__dict__["hidden"] = self.parts[4]

    def layers(self) -> list[nn.Module]:
        return [self.order[0], self.named["one"][0], self.box.layer, self.call.__self__, self.hidden]

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.order, *self.named["one"], self.box.layer, self.call, self.hidden):
            x = layer(x)
        return x


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_are_replaced_wherever_a_module_refers_to_them(inplace: bool) -> None:
    model, x = Branches(), torch.randn(2, 4)
    expected = model(x)
    made = convert(model, IDEAL, inplace=inplace).model
    assert all(isinstance(layer, OpticalLinear) for layer in made.layers())
    torch.testing.assert_close(made(x), expected, atol=1e-5, rtol=1e-5)
    back = to_electronic(made)
    assert [type(layer) for layer in back.layers()] == [nn.Linear] * 5
    if not inplace:
        assert [type(layer) for layer in model.layers()] == [nn.Linear] * 5


def test_lazy_layers_after_one_pass_and_containers() -> None:
    model = nn.ModuleDict(
        {"lazy": nn.LazyLinear(3), "conv": nn.LazyConv1d(2, 2), "rows": nn.ParameterList([torch.ones(2)])}
    )
    model["lazy"](torch.randn(1, 5))
    model["conv"](torch.randn(1, 3, 4))
    conversion = convert(model, L2IGHT)
    assert isinstance(conversion.model["lazy"], OpticalLinear)
    assert isinstance(conversion.model["conv"], OpticalConv1d)
    reasons = {layer.name: layer.reason for layer in conversion.layers}
    assert reasons == {"lazy": "", "conv": "", "rows": "parameters that another module reads itself"}


@pytest.mark.parametrize("chip", [L2IGHT, chips.preset("elight", chips.PCMChip)], ids=lambda chip: chip.name)
def test_a_converted_model_is_copied_and_its_state_saved_and_loaded(chip: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 4)).eval()
    made, x = convert(model, chip).model, torch.randn(2, 2, 6, 6)
    made[0].note = torch.ones(2)
    with torch.no_grad():
        expected = made(x)
        twin = copy.deepcopy(made)
        assert isinstance(twin[0], OpticalConv2d)
        assert torch.equal(twin(x), expected)
        file = io.BytesIO()
        torch.save(made.state_dict(), file)
        file.seek(0)
        other = convert(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 4)).eval(), chip).model
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(other(x), expected)


def test_a_layer_of_an_optical_class_is_refused_an_electronic_weight() -> None:
    with pytest.raises(RequestError, match=r"layer\.core\.program\(matrix\)"):
        OpticalLinear(3, 3, chip=L2IGHT).weight = nn.Parameter(torch.eye(3))
    with pytest.raises(RequestError, match="cannot be written"):
        convert(nn.MultiheadAttention(4, 2), L2IGHT).model.in_proj_weight = nn.Parameter(torch.zeros(12, 4))
