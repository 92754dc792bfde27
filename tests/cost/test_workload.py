"""What a forward pass takes, against torch's own counter and against counts by hand."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lightloom import chips
from lightloom.cost import workload as workloads
from lightloom.cost.trace import countable_attention
from lightloom.cost.workload import Workload, layers_of, trace_workload
from lightloom.nn import convert
from lightloom.nn.plan import plan

NOEMS = chips.preset("noems")


def planned(model: nn.Module, sample: object) -> Workload:
    made = plan(model, NOEMS)
    return trace_workload(made.model, layers_of(made.model, made.layers), sample)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 6 * 6, 10),
    ).eval()


def test_multiply_adds_on_chips_and_off_are_those_that_torch_counts() -> None:
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(24, 4, 40, batch_first=True), 2, enable_nested_tensor=False
    )
    sample = torch.randn(1, 7, 24)
    workload = planned(model, sample)
    with countable_attention(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(sample)
    assert workload.macs + sum(layer.macs for layer in workload.layers) == counter.get_total_flops() // 2
    assert workload.macs == 2 * 2 * 7 * 7 * 24  # in each layer Q K^T and A V; all else is on the chip
    assert len(workload.layers) == 2 * 6


def test_values_by_hand() -> None:
    workload = planned(network(), torch.randn(1, 3, 16, 16))
    first, depthwise, last = workload.layers
    assert (first.vectors, first.values_in, first.values_out) == (64, 768, 512)
    assert (depthwise.vectors, depthwise.tiling.groups, depthwise.macs) == (36, 8, 36 * 8 * 9)
    assert (last.vectors, last.macs) == (1, 2880)
    # biases of the first and the last layer, norm and rectifier
    assert workload.values == 512 + 512 + 512 + 10
    assert (workload.macs, workload.values_in, workload.values_out) == (0, 768, 10)


def test_a_pass_without_values_counts_the_same_as_one_with_them() -> None:
    model, sample = network(), torch.randn(1, 3, 16, 16)
    layers = layers_of(model, plan(model, NOEMS, inplace=True).layers)
    bare, real = (workloads._trace(model, layers, sample, meta=meta) for meta in (True, False))
    assert bare == real


class Choosy(nn.Module):
    """Looks at what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) if float(x.sum()) > 0 else self.other(x)


def test_a_network_that_looks_at_values_is_given_some() -> None:
    taken = {layer.name: layer.vectors for layer in planned(Choosy(), torch.ones(1, 4)).layers}
    assert taken == {"one": 1, "other": 0}


def test_errors_of_the_network_itself_are_seen() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        planned(nn.Linear(3, 3), torch.ones(1, 4))


class Twice(nn.Module):
    """One layer on five vectors and, later, on one; and another of the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.tied = nn.Linear(6, 6), nn.Linear(6, 6)
        self.tied.weight = self.layer.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(self.layer(F.relu(self.layer(x)).mean(1)))


def test_each_use_of_a_layer_is_noted_and_so_is_what_is_tied() -> None:
    layer, tied = planned(Twice(), torch.ones(1, 5, 6)).layers
    assert dict(layer.uses) == {5: 1, 1: 1}
    assert (tied.tied_to, tied.vectors) == ("layer", 1)


def test_a_converted_model_tells_the_same_as_its_plan() -> None:
    model, sample = network(), torch.randn(1, 3, 16, 16)
    made = convert(model, NOEMS).model
    before = {name: value.clone() for name, value in made.state_dict().items()}
    converted, as_planned = trace_workload(made, layers_of(made, []), sample), planned(model, sample)
    assert [layer.uses for layer in converted.layers] == [layer.uses for layer in as_planned.layers]
    assert (converted.macs, converted.values) == (as_planned.macs, as_planned.values)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert not any("forward" in vars(module) for module in made.modules())


def test_mappings_and_tuples_are_samples_too() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, a: Tensor, b: Tensor) -> dict[str, Tensor]:
            return {"out": self.layer(a + b)}

    a, b = torch.ones(1, 4), torch.ones(1, 4)
    counts = [planned(Sum(), sample) for sample in ((a, b), {"a": a, "b": b})]
    assert counts[0] == counts[1]
    assert (counts[0].values, counts[0].values_in, counts[0].values_out) == (8, 8, 4)


def test_a_layer_may_be_given_its_input_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(input=x)

    (layer,) = planned(Named(), torch.ones(1, 4)).layers
    assert (layer.vectors, layer.macs) == (1, 12)
