"""Angles between gradients, against angles worked out by hand and against what must not change."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.learn import gradient_angles
from lightloom.nn import AllOptical, OpticalLinear, OpticalPass, SaturableAbsorber, install


def network(gradient: Any = "exact") -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [nn.Linear(7, 12, bias=False), SaturableAbsorber(4.0, gradient=gradient), nn.Dropout(0.5)]
    return nn.Sequential(*hidden, nn.Linear(12, 6), SaturableAbsorber(4.0, gradient=gradient), nn.Linear(6, 3))


X = 2 * torch.randn(16, 7, generator=torch.Generator().manual_seed(1))
T = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))


def test_angles_are_those_between_the_gradients_of_two_networks() -> None:
    rows = gradient_angles(network(), X, T, F.mse_loss, ["probe", "identity"])
    assert [(row["kind"], row["layer"]) for row in rows[:4]] == [("probe", name) for name in ("0", "3", "5", "all")]
    for kind in ("probe", "identity"):
        found = {row["layer"]: row for row in rows if row["kind"] == kind}
        exact, turned = (network(gradient).eval() for gradient in ("exact", kind))
        pairs = []
        for name in ("0", "3", "5"):
            weights = exact.get_submodule(name).weight, turned.get_submodule(name).weight
            models = (exact, turned)
            a, b = (
                torch.autograd.grad(F.mse_loss(m(X), T), w)[0].flatten().double()
                for m, w in zip(models, weights, strict=True)
            )
            pairs.append((a, b))
            ratio = float(b.norm() / a.norm())
            # half the chord between unit vectors is the sine of half the angle
            angle = 2 * math.asin(min(1.0, float((a / a.norm() - b / b.norm()).norm()) / 2))
            assert found[name]["angle_deg"] == pytest.approx(math.degrees(angle), abs=1e-4)
            assert found[name]["norm_ratio"] == pytest.approx(ratio, rel=1e-6)
        a, b = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        assert found["all"]["cosine"] == pytest.approx(float(F.cosine_similarity(a, b, dim=0)), abs=1e-9)
        assert found["5"]["angle_deg"] < 1e-4 < found["0"]["angle_deg"] < 90


def test_a_gradient_on_itself_backwards_and_none_at_all() -> None:
    model = nn.Sequential(nn.Linear(7, 5), SaturableAbsorber(2.0), nn.Linear(5, 3))
    rows = gradient_angles(model, X, T, F.mse_loss, ["identity", "negative", "zero"], "identity")
    first = {row["kind"]: row for row in rows if row["layer"] == "0"}
    assert first["identity"]["angle_deg"] == pytest.approx(0, abs=1e-4) and first["identity"]["norm_ratio"] == 1
    assert first["negative"]["angle_deg"] == pytest.approx(180, abs=1e-4)
    assert (first["zero"]["angle_deg"], first["zero"]["norm_ratio"]) == (90, 0)
    dark = gradient_angles(model, X, T, F.mse_loss, ["exact"], "zero")[0]
    assert (dark["angle_deg"], dark["cosine"], dark["norm_ratio"]) == (90, 0, 0)


def test_the_model_and_the_random_numbers_to_come_stay_as_they_were() -> None:
    model = AllOptical(_unbiased("probe"), OpticalPass(photons=100.0))
    model.model[0].eval()
    loss = F.mse_loss(model(X), T)
    torch.autograd.backward(loss)
    before = copy.deepcopy(model.state_dict()), [p.grad.clone() for p in model.parameters() if p.grad is not None]
    modes, state = [module.training for module in model.modules()], torch.get_rng_state()
    with torch.no_grad():
        gradient_angles(model, X, T, F.mse_loss, ["identity", "light"])
    with pytest.raises(IndexError):
        gradient_angles(model, X, T, lambda y, t: y[len(t)].sum(), ["probe"])
    assert all(torch.equal(before[0][name], value) for name, value in model.state_dict().items())
    assert all(torch.equal(a, p.grad) for a, p in zip(before[1], model.parameters(), strict=True) if p.grad is not None)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.gradient for m in model.modules() if isinstance(m, SaturableAbsorber)] == ["probe", "probe"]


def _unbiased(gradient: Any) -> nn.Sequential:
    model = network(gradient)
    for layer in model:
        if isinstance(layer, nn.Linear):
            layer.bias = None
    return model


def test_the_light_of_a_perfect_pass_is_the_gradient_that_its_absorbers_have() -> None:
    model = AllOptical(_unbiased("probe"))
    light, probe = (gradient_angles(model, X, T, F.mse_loss, [kind]) for kind in ("light", "probe"))
    for one, other in zip(light, probe, strict=True):
        assert one["layer"] == other["layer"]
        assert one["angle_deg"] == pytest.approx(other["angle_deg"], abs=1e-3)
    noisy = AllOptical(model.model, OpticalPass(photons=1e4))
    turned = gradient_angles(noisy, X, T, F.mse_loss, ["light"])
    assert all(a["angle_deg"] > b["angle_deg"] for a, b in zip(turned, light, strict=True))


@pytest.mark.parametrize("name", ["l2ight", "elight"])
def test_on_a_chip_what_trains_on_it_is_compared(name: str) -> None:
    """Programming noise is drawn with the weights: the same for both kinds, so that alike gradients are alike."""
    chip = chips.preset(name)
    if name == "elight":
        chip = chip.replace(programming_std=0.05)
    torch.manual_seed(3)
    layers = [OpticalLinear(7, 12, chip=chip, name="hidden"), SaturableAbsorber(4.0)]
    model = nn.Sequential(*layers, OpticalLinear(12, 3, chip=chip, name="head"))
    install(model, chip.specimen(0))
    rows = gradient_angles(model, X, T, F.mse_loss, ["probe", "exact"])
    assert [row["layer"] for row in rows[:3]] == ["0", "2", "all"]
    assert rows[0]["angle_deg"] > 1 and rows[3]["angle_deg"] < 1e-4 and rows[4]["norm_ratio"] == 1


def test_requests_that_cannot_be_met() -> None:
    with pytest.raises(RequestError, match="Did you mean `probe`"):
        gradient_angles(network(), X, T, F.mse_loss, ["prob"])  # type: ignore[list-item]
    with pytest.raises(RequestError, match="pass of an `AllOptical` network, got a `Sequential`"):
        gradient_angles(network(), X, T, F.mse_loss, ["light"])
    with pytest.raises(RequestError, match="`light` is no reference"):
        gradient_angles(AllOptical(_unbiased("exact")), X, T, F.mse_loss, ["probe"], "light")  # type: ignore[arg-type]
    frozen = network().requires_grad_(False)
    with pytest.raises(RequestError, match="unfreeze"):
        gradient_angles(frozen, X, T, F.mse_loss)
