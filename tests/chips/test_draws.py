"""Errors drawn together are those of each specimen."""

import pytest
import torch
from torch import Tensor

from lightloom import chips
from lightloom.chips import MeshChip, PCMChip
from lightloom.chips.draws import ManyChips
from lightloom.chips.mesh import errors as mesh_errors
from lightloom.chips.pcm import errors as pcm_errors

SEEDS = [0, 5, 12345]


def close(made: Tensor | None, wanted: list[Tensor | None]) -> None:
    if made is None:
        assert wanted == [None] * len(SEEDS)
        return
    parts = [tensor for tensor in wanted if tensor is not None]
    torch.testing.assert_close(made, torch.stack(parts), rtol=0, atol=1.2e-7)  # the last digit


@pytest.mark.parametrize("changes", [{}, {"gamma_std": 0.0}, {"phase_bias": 0.0}, {"block_size": 3}])
def test_mesh(changes: dict[str, float]) -> None:
    chip = chips.preset("l2ight", MeshChip).replace(**changes)
    made = mesh_errors.draw(chip, ManyChips(SEEDS), "layer", (2, 1, 3), 36)
    wanted = [chip.specimen(seed).mesh_errors("layer", (2, 1, 3), 36) for seed in SEEDS]
    for field, each in zip(made, zip(*wanted, strict=True), strict=True):
        close(field, list(each))


@pytest.mark.parametrize("changes", [{"absorption_std": 0.1}, {"stuck_fraction": 0.2}, {}])
def test_pcm(changes: dict[str, float]) -> None:
    chip = chips.preset("elight", PCMChip).replace(block_size=8, **changes)
    made = pcm_errors.draw(chip, ManyChips(SEEDS), "layer", 3)
    wanted = [chip.specimen(seed).pcm_errors("layer", 3) for seed in SEEDS]
    for field, each in zip(made, zip(*wanted, strict=True), strict=True):
        close(field, list(each))
