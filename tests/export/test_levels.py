"""The files of levels alone give the weights, in whatever order they are written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError
from lightloom.physics.pcm import schedule, writes

ELIGHT = chips.preset("elight", chips.PCMChip)


def reordered(model: torch.nn.Module) -> torch.nn.Module:
    for core in nn.cores(model, nn.PCMCore).values():
        core.place(nn.reorder(core))
    return model


@pytest.mark.parametrize("sharing", ["row_private", "column_shared", "block_shared"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_weights_come_back_from_the_files(tmp_path: Path, network, sharing: str, dtype: torch.dtype) -> None:
    chip = ELIGHT.replace(block_size=5, sharing=sharing, start="alternate")
    model = reordered(nn.convert(network().to(dtype), chip).model)
    export.pcm_levels(model, tmp_path / "levels")
    read = export.read_pcm_levels(tmp_path / "levels")
    cores = nn.cores(model, nn.PCMCore)
    assert list(read) == list(cores)
    for name, core in cores.items():
        assert np.array_equal(read[name], core.ideal_weight().numpy())


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    size=st.integers(2, 4),
    seed=st.integers(0, 10**6),
    scope=st.sampled_from(["slot", "any"]),
)
def test_turn_by_turn_the_arrays_hold_what_is_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, size: int, seed: int, scope: str
) -> None:
    torch.manual_seed(seed)
    chip = ELIGHT.replace(block_size=size, scope=scope, start="repeat")
    model = reordered(nn.convert(torch.nn.Linear(columns, rows), chip).model)
    folder = tmp_path_factory.mktemp("levels") / "levels"
    export.pcm_levels(model, folder)
    assert np.array_equal(export.read_pcm_levels(folder)[""], model.core.ideal_weight().numpy())
    held = load_file(folder / "levels.safetensors")[".levels"]
    assert held.dtype == np.int8
    plan = model.core.schedule_on_cpu()
    counted = writes.total(writes.count(schedule.sequence(model.core.levels(), plan), "repeat"))
    assert _written(held) == counted


def _written(levels: np.ndarray) -> int:
    """Levels that one inference writes, cell by cell, in the order of the file, after one inference before."""
    total = 0
    state = np.zeros(levels.shape[1:], dtype=int)
    for inference in range(2):
        for turn in levels.astype(int):
            now = np.where(turn == -128, state, turn)
            if inference:
                total += np.abs(np.maximum(now, 0) - np.maximum(state, 0)).sum()
                total += np.abs(np.minimum(now, 0) - np.minimum(state, 0)).sum()
            state = now
    return int(total)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Linear(6, 5), ELIGHT.replace(block_size=4)).model
    export.pcm_levels(model, tmp_path / "levels")
    index, tensors = tmp_path / "levels" / "levels.json", tmp_path / "levels" / "levels.safetensors"
    whole, described = tensors.read_bytes(), json.loads(index.read_text())
    tensors.write_bytes(whole[:-7])
    with pytest.raises(RequestError, match="not a whole safetensors file"):
        export.read_pcm_levels(tmp_path / "levels")
    tensors.write_bytes(whole)
    described["layers"][""]["rows"] = 50
    index.write_text(json.dumps(described))
    with pytest.raises(RequestError, match="do not belong together"):
        export.read_pcm_levels(tmp_path / "levels")
    index.write_text(json.dumps({**described, "format": 2}))
    with pytest.raises(RequestError, match="format 1"):
        export.read_pcm_levels(tmp_path / "levels")
    tensors.unlink()
    index.write_text(json.dumps(described))
    with pytest.raises(RequestError, match="is missing"):
        export.read_pcm_levels(tmp_path / "levels")


def test_what_holds_no_levels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="phase-change crossbars"):
        export.pcm_levels(nn.convert(torch.nn.Linear(4, 4), chips.preset("ideal")).model, tmp_path / "levels")
    with pytest.raises(RequestError, match="electronic twin"):
        export.pcm_levels(nn.convert(torch.nn.Linear(4, 4), ELIGHT, mode="weight").model, tmp_path / "levels")
    assert not (tmp_path / "levels").exists()
