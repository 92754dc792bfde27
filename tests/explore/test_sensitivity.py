"""The scan against conversions of one layer each, done by hand."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn as torch_nn

from lightloom import chips, nn
from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.explore import CustomScore, SensitivityConfig, scan, sensitivity

CHIP = chips.preset("noems", chips.MeshChip).replace(block_size=4, weight_bits=3, phase_bias=0.0, gamma_std=0.01)
SEEDS = range(2, 5)


class Net(torch_nn.Module):
    """A convolution, a layer that is used twice, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = torch_nn.Conv2d(1, 4, 2)
        self.twice = torch_nn.Linear(4, 4)
        self.again = self.twice
        self.head = torch_nn.Linear(4, 4)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(4).view(4, 1, 2, 2))
            self.twice.weight.copy_(torch.eye(4) + 0.1 * torch.randn(4, 4))
            self.head.weight.copy_(torch.linalg.inv(self.twice.weight @ self.twice.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.again(self.twice(self.conv(x).flatten(1))))
        return y


@pytest.fixture
def net() -> torch_nn.Module:
    return Net().eval()


def accuracy(model: torch_nn.Module, images: ImageSet) -> float:
    with torch.no_grad():
        return float((model(images.images).argmax(1) == images.labels).double().mean())


def by_hand(net: torch_nn.Module, images: ImageSet, **rules: list[str]) -> tuple[list[float], list[torch.Tensor]]:
    """Accuracies and outputs of the specimens of a conversion of its own."""
    model = nn.convert(net, CHIP, **rules).model.eval()  # type: ignore[arg-type]
    shares, outputs = [], []
    for seed in SEEDS:
        nn.install(model, CHIP.specimen(seed))
        shares.append(accuracy(model, images))
        with torch.no_grad():
            outputs.append(model(images.images[:64]))
    return shares, outputs


def test_each_layer_alone_is_a_conversion_of_that_layer(net: torch_nn.Module, images: ImageSet) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = sensitivity(net, CHIP, images, SensitivityConfig(specimens=3, seed=2), progress=False)
    assert [row.name for row in found.rows] == ["conv", "twice", "head"]
    assert found.electronic == accuracy(net, images)
    with torch.no_grad():
        plain = net(images.images[:64])
    for row in found.rows:
        shares, outputs = by_hand(net, images, only=[row.name])
        assert row.score == pytest.approx(sum(shares) / 3, abs=1e-9)
        assert row.drop == pytest.approx(found.electronic - sum(shares) / 3, abs=1e-9)
        assert row.std == pytest.approx(float(torch.tensor(shares, dtype=torch.float64).std()), abs=1e-9)
        distances = [float((made - plain).norm() / plain.norm()) for made in outputs]
        assert row.distance == pytest.approx(sum(distances) / 3, rel=1e-3)
    whole, _ = by_hand(net, images)
    assert found.whole.score == pytest.approx(sum(whole) / 3, abs=1e-9)
    assert len({row.drop for row in found.rows}) > 1
    assert type(net.get_submodule("conv")) is torch_nn.Conv2d
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_shares_of_work_are_those_of_the_products(net: torch_nn.Module, images: ImageSet) -> None:
    found = sensitivity(net, CHIP, images, SensitivityConfig(specimens=1), progress=False)
    assert [row.share for row in found.rows] == pytest.approx([16 / 64, 32 / 64, 16 / 64])  # the second works twice
    assert sum(row.energy_share for row in found.rows) == pytest.approx(1)


@pytest.mark.parametrize("budget", [0.0, 0.02, 0.1, 1.0])
def test_the_proposal_was_measured_and_is_the_shortest_of_the_worst(
    net: torch_nn.Module, images: ImageSet, budget: float
) -> None:
    found = sensitivity(net, CHIP, images, SensitivityConfig(specimens=3, seed=2, budget=budget), progress=False)
    worst = [row.name for row in sorted(found.rows, key=lambda row: (row.drop, row.distance), reverse=True)]
    assert found.proposal == worst[: len(found.proposal)]
    assert found.proposed.drop <= budget
    if len(found.proposal) < len(worst):
        shares, _ = by_hand(net, images, skip=found.proposal)
        assert found.proposed.score == pytest.approx(sum(shares) / 3, abs=1e-9)
    if found.proposal:
        shares, _ = by_hand(net, images, skip=found.proposal[:-1])
        assert found.electronic - sum(shares) / 3 > budget
    assert f"budget of {budget:g}" in str(found)


def test_budgets_matter_here(net: torch_nn.Module, images: ImageSet) -> None:
    lengths = [
        len(
            sensitivity(
                net, CHIP, images, SensitivityConfig(specimens=3, seed=2, budget=budget), progress=False
            ).proposal
        )
        for budget in (0.0, 1.0)
    ]
    assert lengths[0] > lengths[1] == 0


def test_any_score_will_do(net: torch_nn.Module, images: ImageSet) -> None:
    by_samples = sensitivity(net, CHIP, images, SensitivityConfig(specimens=3), progress=False)
    score = CustomScore(lambda model: accuracy(model, images), images.images[:1])
    by_score = sensitivity(net, CHIP, score, SensitivityConfig(specimens=3), progress=False)
    assert [row.score for row in by_score.rows] == pytest.approx([row.score for row in by_samples.rows], abs=1e-9)
    assert by_score.proposed.score == pytest.approx(by_samples.proposed.score, abs=1e-9)
    assert by_score.measure == "score"
    assert all(row.distance is None for row in by_score.rows)


def test_a_layer_may_be_the_whole_network_and_some_may_be_left_out(net: torch_nn.Module, images: ImageSet) -> None:
    alone = torch_nn.Linear(4, 4)
    score = CustomScore(lambda model: -float(model(torch.eye(4)).norm()), torch.ones(1, 4))
    found = sensitivity(alone, CHIP, score, progress=False)
    assert [row.name for row in found.rows] == [""]
    left = sensitivity(net, CHIP, images, SensitivityConfig(specimens=1, skip=("twice",)), progress=False)
    assert [row.name for row in left.rows] == ["conv", "head"]
    with pytest.raises(RequestError, match="nothing to scan"):
        sensitivity(net, CHIP, images, SensitivityConfig(skip=("*",)), progress=False)


def test_a_scan_that_was_stopped_goes_on(
    net: torch_nn.Module, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, calls = tmp_path / "state.json", [0]
    own = scan.accuracies

    def counted(*args: object, **kwargs: object) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        found: torch.Tensor = own(*args, **kwargs)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(scan, "accuracies", counted)
    with pytest.raises(KeyboardInterrupt):
        sensitivity(net, CHIP, images, SensitivityConfig(specimens=2), state=state, progress=False)
    first = json.loads(state.read_text())
    resumed = sensitivity(net, CHIP, images, SensitivityConfig(specimens=2), state=state, progress=False)
    done = calls[0]
    monkeypatch.undo()
    fresh = sensitivity(net, CHIP, images, SensitivityConfig(specimens=2), progress=False)
    assert resumed == fresh
    assert first.items() <= json.loads(state.read_text()).items()
    monkeypatch.setattr(scan, "accuracies", counted)
    assert sensitivity(net, CHIP, images, SensitivityConfig(specimens=2), state=state, progress=False) == fresh
    assert calls[0] == done


def test_bias_is_calibrated_away_unless_it_is_asked_for(net: torch_nn.Module, images: ImageSet) -> None:
    biased = CHIP.replace(phase_bias=6.0)
    calm = sensitivity(net, biased, images, SensitivityConfig(specimens=2), progress=False)
    wild = sensitivity(net, biased, images, SensitivityConfig(specimens=2, calibrated=False), progress=False)
    assert calm.whole == sensitivity(net, CHIP, images, SensitivityConfig(specimens=2), progress=False).whole
    assert wild.whole.drop > calm.whole.drop


def test_the_table_reads_and_the_json_is_plain(net: torch_nn.Module, images: ImageSet) -> None:
    found = sensitivity(net, CHIP, images, SensitivityConfig(specimens=2, budget=0.0), progress=False)
    lines = str(found).splitlines()
    assert len(lines) == 1 + 3 + 2
    assert sum(line.endswith("electronic") for line in lines) == len(found.proposal)
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["proposal"] == found.proposal
    assert [row["drop"] for row in plain["rows"]] == [row.drop for row in found.rows]


@pytest.mark.parametrize("wrong", [{"budget": -0.1}, {"specimens": 0}])
def test_numbers_out_of_range_are_refused(net: torch_nn.Module, images: ImageSet, wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        sensitivity(net, CHIP, images, SensitivityConfig.parse(wrong))
    with pytest.raises(RequestError, match="samples"):
        sensitivity(net, CHIP, None)  # type: ignore[arg-type]
