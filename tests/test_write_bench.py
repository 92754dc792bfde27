"""The benches of PCM chips on small things: their figures hold together."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightloom.bench import bench
from lightloom.common.errors import RequestError
from lightloom.pipeline.run import run
from lightloom.recipes import resolve

CASES = ("plain", "write_aware", "reordered", "both")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    changes = ["quick=true", "stages=[train]", "train.epochs=2", "learn.epochs=2", "model.width=6", "data.limit=200"]
    run(resolve("pcm/digits", changes), folder)
    return folder


def test_every_way_of_sharing_is_measured_against_plain(trained: Path) -> None:
    result = bench("writes", run=trained)
    for sharing in ("row_private", "column_shared", "block_shared"):
        for table in (result, *result["starts"].values()):
            cases = table[sharing]
            assert set(cases) == {*CASES, "storage"}
            assert cases["plain"]["write_reduction"] == cases["plain"]["energy_reduction"] == 1
            assert cases["reordered"]["write_reduction"] >= 1
            assert cases["both"]["write_reduction"] >= cases["write_aware"]["write_reduction"]
            assert cases["plain"]["accuracy_drop"] == cases["reordered"]["accuracy_drop"] == 0
            for case in CASES:
                spared = cases["plain"]["writes"] / cases[case]["writes"]
                assert cases[case]["write_reduction"] == pytest.approx(spared, abs=1e-3)
        assert result["gaussian"][sharing]["reordered"]["write_reduction"] >= 1
    # the more each cell may choose for itself, the less is written
    by_freedom = [
        result[sharing]["reordered"]["writes"] for sharing in ("row_private", "column_shared", "block_shared")
    ]
    assert by_freedom == sorted(by_freedom)
    moved = result["any_slot"]["row_private"]["reordered"]["writes"]
    assert moved < result["row_private"]["reordered"]["writes"]
    assert result == bench("writes", run=trained)  # trainings are kept, and everything repeats


def test_requests_that_cannot_be_met(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no sharing `rows`"):
        bench("writes", run=trained, sharing="rows")
    with pytest.raises(RequestError, match="run folder"):
        bench("writes", run=tmp_path)
    folder = tmp_path / "mesh"
    run(resolve("onchip/digits", ["quick=true", "stages=[train]", "train.epochs=1", "data.limit=100"]), folder)
    with pytest.raises(RequestError, match="no cells to write"):
        bench("writes", run=folder)


def test_reordering_and_training_are_timed_in_one_run() -> None:
    timed = bench("reorder", rounds=1, columns=96, rows=16)
    assert timed["speedup"] > 0
    assert timed["path"]["gap"] >= 0
    assert timed["path"]["reduction"] >= 1
    trained = bench("pcm-train", rounds=1)
    assert trained["ratio"] > 0
