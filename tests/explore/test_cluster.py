"""The same numbers from processes, and from a running cluster, as from this process."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.explore import Engine, ExploreConfig, explore
from lightloom.nn import optical_layers

pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="`distributed` is not installed")

NOEMS = chips.preset("noems", chips.MeshChip).replace(block_size=4, gamma_std=0.01)
QUIET = Engine(progress=False)
SEARCH = ExploreConfig(
    axes=("chip.block_size=3,4", "chip.phase_noise_std=0,0.1", "system.schedule=weight,output"), specimens=3
)


@pytest.fixture
def scheduler() -> Iterator[str]:
    """The address of a cluster whose two workers are threads of this process."""
    from distributed import LocalCluster

    nowhere = "127.0.0.1:0"
    with LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=nowhere,
        worker_dashboard_address=nowhere,
    ) as cluster:
        yield cluster.scheduler_address


def test_a_running_cluster_gives_what_one_process_gives(network: nn.Module, images: ImageSet, scheduler: str) -> None:
    alone = explore(network, NOEMS, images, SEARCH, engine=QUIET)
    spread = explore(network, NOEMS, images, SEARCH, engine=Engine(scheduler=scheduler, progress=False))
    assert spread == alone
    assert len({tuple(point["accuracies"]) for point in alone["points"]}) > 2


class Fragile(nn.Module):
    """Ends the process where its layers are on a chip of block size 5, unless it is this one."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.home = inner, os.getpid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if os.getpid() != self.home and any(layer.chip.block_size == 5 for layer in optical_layers(self).values()):
            os._exit(1)
        y: torch.Tensor = self.inner(x)
        return y


def test_processes_give_what_one_process_gives_and_one_that_dies_takes_none_along(
    network: nn.Module, images: ImageSet, tmp_path: Path
) -> None:
    import cloudpickle
    import dask

    search = ExploreConfig(axes=("chip.block_size=3,5,4", "chip.phase_noise_std=0.1"), specimens=3)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file
    fragile = Fragile(network)
    alone = explore(fragile, NOEMS, images, search, engine=QUIET)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        spread = explore(fragile, NOEMS, images, search, folder=tmp_path, engine=Engine(workers=2, progress=False))
    survivors = [point for point in alone["points"] if point["settings"]["chip.block_size"] != 5]
    assert [point["accuracies"] for point in spread["points"]] == [point["accuracies"] for point in survivors]
    assert [(row["label"], "died" in row["error"]) for row in spread["failed"]] == [
        ("block size 5, phase noise std 0.1", True)
    ]
    assert len(list((tmp_path / "points").glob("*.json"))) == 2


def test_a_scheduler_that_does_not_answer_is_named(
    network: nn.Module, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightloom.explore.engine._PATIENCE", 0.5)
    with pytest.raises(RequestError, match=r"127\.0\.0\.1:9"):
        explore(network, NOEMS, images, SEARCH, engine=Engine(scheduler="tcp://127.0.0.1:9", progress=False))
