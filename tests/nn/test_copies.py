"""Models that hold activations, normed, pruned and parametrised weights are converted as copies, with a report."""

import copy
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import OpticalLinear, convert, plan, to_electronic
from lightloom.nn.copies import copy_of

IDEAL = chips.preset("ideal")
HOOK, PARAMETRIZED = "its weight is made by a hook", "its weight is made by a parametrization"


def spectral(layer: nn.Module) -> None:
    nn.utils.spectral_norm(layer)
    layer(torch.randn(2, 8))


EDITS: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "pruned": (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), HOOK),
    "pruned bias": (lambda layer: prune.random_unstructured(layer, "bias", 0.5), "its bias is made by a hook"),
    "pruned twice": (lambda layer: [prune.random_structured(layer, "weight", 0.3, dim=d) for d in (0, 1)], HOOK),
    "weight norm": (nn.utils.weight_norm, HOOK),
    "spectral norm": (spectral, HOOK),
    "parametrized weight norm": (parametrizations.weight_norm, PARAMETRIZED),
    "parametrized spectral norm": (parametrizations.spectral_norm, PARAMETRIZED),
    "orthogonal": (parametrizations.orthogonal, PARAMETRIZED),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("name", EDITS)
def test_edited_layers_stay_electronic_with_the_reason(name: str) -> None:
    edit, reason = EDITS[name]
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)).eval(), torch.randn(3, 8)
    edit(model[0])
    expected = model(x).detach()
    planned, conversion = plan(model, IDEAL), convert(model, IDEAL)
    for layers in (planned.layers, conversion.layers):
        reasons = {layer.name: layer.reason for layer in layers}
        assert reasons["0"].startswith(reason)
        assert reasons["1"] == ""
    torch.testing.assert_close(conversion.model(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(to_electronic(conversion.model)(x), expected, atol=1e-5, rtol=1e-5)
    conversion.model(x).sum().backward()  # the electronic layer trains on
    assert any(parameter.grad is not None for parameter in conversion.model[0].parameters())


@dataclass
class Record:
    tensors: list[Any]


def nestings(tensor: Tensor) -> list[Any]:
    return [
        tensor,
        [tensor],
        {"a": (tensor, [tensor])},
        OrderedDict(x=deque([tensor])),
        Record([{"inner": tensor}]),
        lambda: tensor,
    ]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("call", [convert, plan])
def test_activations_may_lie_anywhere(call: Callable[..., Any], number: int) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight.requires_grad_(False)
    activation = model[0](torch.randn(2, 4))
    model.kept = model[0].last = nestings(activation)[number]
    made = call(model, IDEAL)
    assert [layer.reason for layer in made.layers] == ["", ""]
    assert activation.requires_grad  # the original keeps its graph
    kept = made.model.kept
    assert kept is made.model[0].last  # what is shared stays shared
    if number == 0:
        assert torch.equal(kept, activation)
        assert not kept.requires_grad
        assert kept is not activation


def test_what_was_made_under_inference_mode_is_copied_to_train() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(4, 4))
        model.seen = torch.ones(3)
    made = copy_of(model)
    assert not made.seen.is_inference()
    made(torch.randn(2, 4)).sum().backward()
    assert made[0].weight.grad is not None


def test_what_cannot_be_copied_is_told_with_the_mend() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    model.lock = threading.Lock()
    with pytest.raises(RequestError, match="inplace=True"):
        convert(model, IDEAL)
    assert isinstance(convert(model, IDEAL, inplace=True).model[0], OpticalLinear)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_layers_are_in_the_report() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval()
    quantised = torch.ao.quantization.quantize_dynamic(model, {"0": torch.ao.quantization.default_dynamic_qconfig})
    x = torch.randn(2, 4)
    conversion = convert(quantised, IDEAL)
    assert {layer.name: layer.reason for layer in conversion.layers} == {
        "0": "quantised: its weight is packed integers",
        "2": "",
    }
    torch.testing.assert_close(conversion.model(x), quantised(x), atol=1e-5, rtol=1e-5)


def test_a_layer_that_torch_compiled_alone_stays_electronic() -> None:
    model = nn.Sequential(torch.compile(nn.Linear(4, 4), backend="eager"), nn.Linear(4, 4))
    reasons = [layer.reason for layer in convert(model, IDEAL).layers]
    assert reasons[0].startswith("torch.compile has compiled it already")
    assert reasons[1] == ""


def test_a_converted_model_with_activations_is_copied_too() -> None:
    made = convert(nn.Sequential(nn.Linear(4, 4)), IDEAL).model
    made.last = made(torch.randn(2, 4))
    x = torch.randn(2, 4)
    torch.testing.assert_close(to_electronic(made)(x), made(x), atol=1e-5, rtol=1e-5)
    assert convert(made, IDEAL).layers[0].reason == "already optical"
    with pytest.raises(RuntimeError):
        copy.deepcopy(made)  # as torch does, which has to keep the graph
