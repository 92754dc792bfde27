"""Sweeps against the same done by hand, and what a kill, a bad file or a failing point does to them."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn as torch_nn

from lightloom import chips, cost, nn
from lightloom.common.errors import RequestError, WorkError
from lightloom.data import ImageSet
from lightloom.explore import Engine, ExploreConfig, as_text, check, explore, table, write

NOEMS = chips.preset("noems", chips.MeshChip).replace(block_size=4, phase_bias=0.0, gamma_std=0.01)
AXES = ("chip=noems,elight", "chip.block_size=4", "chip.gamma_std=0,0.02", "system.schedule=weight,output")
QUIET = Engine(progress=False)
SEARCH = ExploreConfig(axes=AXES, specimens=3)


def by_hand(model: torch_nn.Module, chip: chips.Chip, images: ImageSet, seeds: range) -> list[float]:
    converted = nn.convert(model, chip).model.eval()
    found = []
    for seed in seeds:
        nn.install(converted, chip.specimen(seed))
        with torch.no_grad():
            found.append(float((converted(images.images).argmax(1) == images.labels).double().mean()))
    return found


def test_a_point_is_what_conversion_and_cost_give_by_hand(network: torch_nn.Module, images: ImageSet) -> None:
    search = ExploreConfig(specimens=5, seed=3, threshold=0.8)
    result = explore(network, NOEMS, images, search, engine=QUIET)
    (point,) = result["points"]
    expected = by_hand(network, NOEMS, images, range(3, 8))
    assert point["accuracies"] == pytest.approx(expected, abs=1e-9)
    assert len(set(expected)) > 1, "specimens must differ for this to say anything"
    assert point["accuracy"] == pytest.approx(np.mean(expected))
    assert point["std"] == pytest.approx(np.std(expected, ddof=1))
    assert point["low"] == pytest.approx(np.percentile(expected, 5))
    assert point["yield"] == np.mean([value >= 0.8 - 1e-9 for value in expected])
    bill = cost.estimate(nn.convert(network, NOEMS).model, images.images[:1])
    assert point["energy_j"] == pytest.approx(bill.total.energy_j)
    assert point["latency_s"] == pytest.approx(bill.total.latency_s)
    assert (point["throughput_per_s"], point["area_m2"]) == pytest.approx((bill.throughput_per_s, bill.area_m2))
    assert result["boundary"] == bill.total.name
    assert point["pareto"]


def test_the_threshold_is_one_point_below_the_electronic_network(network: torch_nn.Module, images: ImageSet) -> None:
    result = explore(network, chips.preset("ideal"), images, ExploreConfig(specimens=1), engine=QUIET)
    with torch.no_grad():
        electronic = float((network(images.images).argmax(1) == images.labels).double().mean())
    assert 0.5 < electronic < 1
    assert result["electronic"] == electronic
    assert result["threshold"] == pytest.approx(electronic - 0.01)
    assert result["points"][0]["accuracies"] == [electronic]
    assert result["points"][0]["yield"] == 1


def test_another_boundary_is_that_of_the_cost(network: torch_nn.Module, images: ImageSet) -> None:
    bill = cost.estimate(nn.convert(network, NOEMS).model, images.images[:1])
    named = {boundary.name: boundary.energy_j for boundary in bill.boundaries}
    for name, joules in named.items():
        result = explore(network, NOEMS, images, ExploreConfig(specimens=1, boundary=name), engine=QUIET)
        assert (result["boundary"], result["points"][0]["energy_j"]) == (name, pytest.approx(joules))
    with pytest.raises(RequestError, match="optics only"):
        explore(network, NOEMS, images, ExploreConfig(specimens=1, boundary="optic only"), engine=QUIET)


def test_two_technologies_and_two_schedules(network: torch_nn.Module, images: ImageSet, tmp_path: Path) -> None:
    result = explore(network, NOEMS, images, SEARCH, folder=tmp_path, source="a test", engine=QUIET)
    assert [(p["chip"], p["settings"].get("chip.gamma_std")) for p in result["points"]] == [
        ("noems", 0.0),
        ("noems", 0.0),
        ("noems", 0.02),
        ("noems", 0.02),
        ("elight", None),
        ("elight", None),
    ]
    by_schedule = result["points"][::2], result["points"][1::2]
    for one, other in zip(*by_schedule, strict=True):
        assert one["accuracies"] == other["accuracies"], "a schedule changes the cost alone"
        assert one["id"] != other["id"]
    assert any("gamma_std" in note for note in result["notes"])
    assert any("calibrated" in text for text in result["assumptions"])
    write(tmp_path, result)
    assert json.loads((tmp_path / "explore.json").read_text()) == json.loads(json.dumps(result))
    with (tmp_path / "explore.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["accuracy"]) for row in rows] == [point["accuracy"] for point in result["points"]]
    assert [row["chip.gamma_std"] for row in rows] == ["0.0", "0.0", "0.02", "0.02", "", ""]
    assert {row["system.schedule"] for row in rows} == {"weight", "output"}
    assert len(list((tmp_path / "points").glob("*.json"))) == 6
    assert "6 points of 3 specimens" in "\n".join(as_text(result))


def test_a_sweep_goes_on_where_it_was_and_does_only_what_is_missing(
    network: torch_nn.Module, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = explore(network, NOEMS, images, ExploreConfig(axes=("chip.block_size=2,4",), specimens=2), folder=tmp_path)
    measured: list[int] = []
    from lightloom.explore import point as room

    own = room.accuracies

    def counted(model: torch_nn.Module, *args: object, **kwargs: object) -> torch.Tensor:
        measured.append(next(iter(nn.optical_layers(model).values())).chip.block_size)
        found: torch.Tensor = own(model, *args, **kwargs)  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(room, "accuracies", counted)
    search = ExploreConfig(axes=("chip.block_size=2,3,4", "system.schedule=weight,input"), specimens=2)
    larger = explore(network, NOEMS, images, search, folder=tmp_path)
    assert measured == [3], "a schedule needs no accuracy of its own, and two sizes were there"
    kept = [point["accuracies"] for point in larger["points"] if point["settings"]["chip.block_size"] != 3]
    assert kept[::2] == [point["accuracies"] for point in first["points"]]
    assert explore(network, NOEMS, images, search, folder=tmp_path) == larger
    assert measured == [3]
    with torch.no_grad():
        network.get_submodule("1").weight.mul_(1.01)
    explore(network, NOEMS, images, search, folder=tmp_path)
    assert measured == [3, 2, 3, 4], "other weights are another network"


def test_a_broken_file_is_said_and_measured_again(
    network: torch_nn.Module, images: ImageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = explore(network, NOEMS, images, SEARCH, folder=tmp_path, engine=QUIET)
    cut, changed, foreign, *_ = sorted((tmp_path / "points").glob("*.json"))
    cut.write_text(cut.read_text()[:-40])
    changed.write_text(json.dumps({**json.loads(changed.read_text()), "accuracies": [0.123] * 3}))
    foreign.write_text("[1, 2]")
    after = explore(network, NOEMS, images, SEARCH, folder=tmp_path)
    said = capsys.readouterr().err
    assert after["points"] == before["points"]
    for path in (cut, changed, foreign):
        assert any(path.name in note for note in after["notes"])
    assert "measured again" in said
    assert explore(network, NOEMS, images, SEARCH, folder=tmp_path, engine=QUIET)["notes"] == before["notes"]


def test_a_failing_point_is_named_and_the_others_go_on(
    network: torch_nn.Module, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightloom.explore import point as room

    own = room.convert

    def failing(model: torch_nn.Module, chip: chips.Chip, **kwargs: object) -> nn.Conversion:
        if chip.block_size == 4:
            raise MemoryError("no room for this one")
        return own(model, chip, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(room, "convert", failing)
    search = ExploreConfig(axes=("chip.block_size=2,4",), specimens=1)
    result = explore(network, NOEMS, images, search, folder=tmp_path, engine=QUIET)
    assert [point["settings"]["chip.block_size"] for point in result["points"]] == [2]
    assert [(row["label"], row["error"]) for row in result["failed"]] == [
        ("block size 4", "MemoryError: no room for this one")
    ]
    check(result)
    assert "no room for this one" in table.as_csv(result).splitlines()[-1]
    alone = explore(network, NOEMS, images, ExploreConfig(axes=("chip.block_size=4",)), folder=tmp_path, engine=QUIET)
    with pytest.raises(WorkError, match="no room"):
        check(alone)
    write(tmp_path, alone)
    monkeypatch.undo()
    assert not explore(network, NOEMS, images, search, folder=tmp_path, engine=QUIET)["failed"]


def test_several_networks_share_one_bar(network: torch_nn.Module, images: ImageSet) -> None:
    torch.manual_seed(5)
    poor = torch_nn.Sequential(torch_nn.Flatten(), torch_nn.Linear(4, 4))
    result = explore({"poor": poor, "good": network}, NOEMS, images, ExploreConfig(specimens=1), engine=QUIET)
    assert result["axes"] == ["network"]
    assert result["electronic"] == result["networks"]["good"] > result["networks"]["poor"]
    assert [point["label"] for point in result["points"]] == ["poor", "good"]


def test_noise_is_the_same_whatever_was_measured_before(network: torch_nn.Module, images: ImageSet) -> None:
    noisy = ExploreConfig(axes=("chip.phase_noise_std=0.3,0.2",), specimens=2)
    both = explore(network, NOEMS, images, noisy, engine=QUIET)["points"]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    alone = explore(
        network, NOEMS, images, ExploreConfig(axes=("chip.phase_noise_std=0.2",), specimens=2), engine=QUIET
    )
    assert alone["points"][0]["accuracies"] == both[1]["accuracies"]
    assert torch.equal(torch.get_rng_state(), state)


def test_what_does_not_fit_is_refused_before_anything_runs(
    network: torch_nn.Module, images: ImageSet, tmp_path: Path
) -> None:
    def refused(words: str, model: object = network, **asked: object) -> None:
        with pytest.raises(RequestError, match=words):
            explore(model, NOEMS, images, ExploreConfig.parse(asked), folder=tmp_path / "none")  # type: ignore[arg-type]
        assert not (tmp_path / "none").exists()

    refused("No layer is called", skip=["3"])
    refused("block_size", axes=["chip.block_size=4,5000"])
    refused("objective", objectives=["energie"])
    refused("specimens", specimens=0)
    refused("no network", model={})
    with pytest.raises(RequestError, match="not both"):
        explore(network, NOEMS, images, engine=Engine(workers=2, scheduler="tcp://127.0.0.1:1"))


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import torch
from conftest import labelled_images, small_network
from pathlib import Path
from lightloom import chips
from lightloom.explore import Engine, ExploreConfig, explore, point
own = point.accuracies
def slow(*args, **kwargs):
    time.sleep(0.2)
    return own(*args, **kwargs)
point.accuracies = slow
chip = chips.preset("noems").replace(block_size=4, phase_bias=0.0, gamma_std=0.01)
explore(small_network(), chip, labelled_images(80), ExploreConfig(axes=("chip.block_size=2,3,4,5,6,7,8",), specimens=2),
        folder=Path(sys.argv[1]), engine=Engine(progress=False))
"""


def test_a_killed_sweep_loses_nothing(network: torch_nn.Module, images: ImageSet, tmp_path: Path) -> None:
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=environment)
    points = tmp_path / "points"
    deadline = time.monotonic() + 60
    while len(list(points.glob("*.json"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it was killed"
    kept = {path.name: path.stat().st_mtime_ns for path in points.glob("*.json")}
    assert 2 <= len(kept) < 7
    search = ExploreConfig(axes=("chip.block_size=2,3,4,5,6,7,8",), specimens=2)
    resumed = explore(network, NOEMS, images, search, folder=tmp_path, engine=QUIET)
    assert not resumed["notes"]
    assert {name: (points / name).stat().st_mtime_ns for name in kept} == kept
    assert resumed == explore(network, NOEMS, images, search, engine=QUIET)
