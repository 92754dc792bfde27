"""The cost of learning against sums made by hand."""

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.cost import energy, learning_cost, trace
from lightloom.cost.mesh.learning import PHASES
from lightloom.cost.mesh.phases import holding_power
from lightloom.learn.sampling import Sampling
from lightloom.nn import convert

L2IGHT = chips.preset("l2ight")


def network() -> nn.Module:
    """Blocks: 1x1, 2x9, 2x16; vectors per image: 16, 16, 1."""
    layers = [nn.Conv2d(1, 9, 3, padding=1), nn.Conv2d(9, 18, 3, padding=1), nn.Flatten(), nn.Linear(18 * 16, 10)]
    return convert(nn.Sequential(*layers[:2], nn.AvgPool2d(1), *layers[2:]), L2IGHT).model


USES = trace(network(), torch.randn(1, 1, 4, 4))
BLOCKS, VECTORS = (1, 2 * 9, 2 * 32), (16, 16, 1)


def by_phase(cost: object, name: str) -> dict[str, list[int]]:
    return {phase: [getattr(row, name) for row in cost.work if row.phase == phase] for phase in PHASES}  # type: ignore[attr-defined]


def test_dense_counts_by_hand() -> None:
    """One step of 4 images: 64, 64, 4 vectors, on 9 wavelengths 8, 8, 1 evaluations."""
    cost = learning_cost(USES, images=4, batch_size=4)
    assert cost.training_steps == 1
    products = by_phase(cost, "products")
    assert products["forward"] == [64, 18 * 64, 64 * 4]
    assert products["sigma_gradient"] == [2 * 64, 2 * 18 * 64, 2 * 64 * 4]
    assert products["error_feedback"] == [18 * 64, 64 * 4]
    calls = by_phase(cost, "calls")
    assert calls["forward"] == [8, 18 * 8, 64]
    assert calls["sigma_gradient"] == [16, 2 * 18 * 8, 2 * 64]
    steps = by_phase(cost, "steps")
    assert steps["forward"] == [0 * 64 + 8, 8 * 64 + 8, 31 * 4 + 1]
    assert steps["sigma_gradient"] == [4 * 64, 4 * 64, 4 * 4]
    # conv: ceil(9 / 9) ceil(log2 18) ceil(2 / 2) per vector; linear: two block rows to add per column
    assert steps["error_feedback"] == [5 * 64, 1 * 4 + 1]
    assert cost.totals["all"]["products"] == sum(sum(row) for row in products.values())


def test_linear_and_pointwise_layers_follow_the_same_formula() -> None:
    """A linear layer is a 1x1 convolution at one position."""
    sampling = Sampling(column=0.5, spatial=0.2)
    sample = torch.randn(1, 20, 1, 1)
    both = [
        learning_cost(trace(convert(layer, L2IGHT).model, x), 8, sampling, 8)
        for layer, x in (
            (nn.Sequential(nn.Conv2d(20, 20, 1), nn.Conv2d(20, 12, 1)), sample),
            (nn.Sequential(nn.Conv2d(20, 20, 1), nn.Flatten(), nn.Linear(20, 12)), sample),
        )
    ]
    rows = [[(row.phase, row.products, row.calls, row.steps) for row in cost.work] for cost in both]
    assert rows[0] == rows[1]


def test_sampling_saves_what_it_leaves_out() -> None:
    dense = learning_cost(USES, 40, batch_size=40)
    sampled = learning_cost(USES, 40, Sampling(feedback=0.5, column=0.75), batch_size=40)
    full, part = by_phase(dense, "products"), by_phase(sampled, "products")
    assert part["forward"] == full["forward"]
    assert part["sigma_gradient"] == [full["sigma_gradient"][0], *(n // 4 for n in full["sigma_gradient"][1:])]
    assert part["error_feedback"] == [full["error_feedback"][0] // 2, full["error_feedback"][1]]
    assert sampled.totals["all"]["energy_j"] < dense.totals["all"]["energy_j"]
    # balanced: one block is left of two in every column
    assert by_phase(sampled, "steps")["error_feedback"][0] == by_phase(dense, "steps")["error_feedback"][0]


def test_pixels_save_vectors_only_where_a_kernel_meets_each_once() -> None:
    sampled = by_phase(learning_cost(USES, 10, Sampling(spatial=0.5), batch_size=10), "products")
    full = by_phase(learning_cost(USES, 10, batch_size=10), "products")
    assert sampled["sigma_gradient"] == [*full["sigma_gradient"][:2], full["sigma_gradient"][2] // 2]


def test_skipped_batches_and_examples_save_everything() -> None:
    dense = learning_cost(USES, 80, batch_size=8)
    for sampling in (Sampling(smd=0.5), Sampling(information=0.5)):
        half = learning_cost(USES, 80, sampling, batch_size=8)
        assert half.totals["all"]["products"] == dense.totals["all"]["products"] / 2


@pytest.mark.parametrize("mode", ["topk", "gtopk", "uniform"])
def test_forward_masks_count_both_ways(mode: str) -> None:
    cost = learning_cost(USES, 4, Sampling(forward=0.5, forward_mode=mode), batch_size=4)
    products = by_phase(cost, "products")
    dense = by_phase(learning_cost(USES, 4, batch_size=4), "products")
    assert products["forward"][1] == products["error_feedback"][0] == pytest.approx(dense["forward"][1] / 2, rel=0.12)
    assert products["forward"][0] == dense["forward"][0]


def test_energy_and_time_from_the_chips_constants() -> None:
    cost = learning_cost(USES[:1], images=9, batch_size=9)
    forward, gradient = cost.work
    assert forward.time_s == pytest.approx((16 + 2) / 5e9)  # 144 vectors on 9 wavelengths, converters filled
    assert gradient.time_s == pytest.approx(2 * (16 + 2) / 5e9)
    settling = L2IGHT.devices.shifter_time.value
    assert cost.time_s == pytest.approx(3 * settling + 54 / 5e9)
    power = holding_power(USES[0].layer.core.state(), L2IGHT)
    assert cost.holding_j == pytest.approx(power * cost.time_s)
    assert cost.energy_j == pytest.approx(cost.holding_j + forward.energy_j + gradient.energy_j)
    one = energy.layer_energy(
        USES[0].counts._replace(calls=16, conversions_in=144 * 9, conversions_out=144 * 9), L2IGHT, 0, 0
    )
    assert forward.energy_j == pytest.approx(sum(one))


def test_calls_of_a_dense_training_are_those_of_single_images() -> None:
    calls = learning_cost(USES, images=10).calls
    forward = sum(use.counts.calls for use in USES)
    assert calls["forward"] == 10 * forward
    assert calls["sigma_gradient"] == 2 * calls["forward"]
    assert calls["error_feedback"] == 10 * (forward - USES[0].counts.calls)
    assert calls["chip_calls"] == sum(calls[phase] for phase in PHASES)
