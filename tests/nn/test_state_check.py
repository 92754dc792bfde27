"""Weights that no chip can hold are not loaded into one."""

import logging
from collections.abc import Callable

import pytest
import torch

from lightloom import chips, nn
from lightloom.common.errors import RequestError

MESH = chips.preset("l2ight", chips.MeshChip).replace(block_size=4)
PCM = chips.preset("elight", chips.PCMChip).replace(block_size=4)
Change = Callable[[torch.Tensor], torch.Tensor]


def on(chip: chips.Chip) -> torch.nn.Module:
    torch.manual_seed(0)
    return nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), chip).model


@pytest.mark.parametrize(
    ("chip", "name", "change", "told"),
    [
        (MESH, "u_phases", lambda t: t + 1e5, "from 0 to"),
        (MESH, "v_phases", lambda t: -1e30 * t - 1e9, "from 0 to"),
        (MESH, "u_phases", lambda t: t * torch.nan, "NaN"),
        (MESH, "sigma", lambda t: t / 0, "Inf"),
        (MESH, "gain", lambda t: t - 100, "negative"),
        (MESH, "u_signs", lambda t: t * 2, "1 or -1"),
        (PCM, "matrix", lambda t: t / 0, "Inf"),
        (PCM, "gain", lambda t: -t, "not above 0"),
        (PCM, "array_rows", lambda t: t * 0, "fit no such matrix"),
        (PCM, "array_rows", lambda t: t + 1000, "fit no such matrix"),
        (PCM, "array_rows", lambda t: t.float(), "no integers"),
    ],
)
def test_a_state_that_no_chip_has_is_refused(chip: chips.Chip, name: str, change: Change, told: str) -> None:
    state = {key: tensor.clone() for key, tensor in on(chip).state_dict().items()}
    model = on(chip)
    with pytest.raises(RequestError, match=told):
        model.load_state_dict({**state, f"0.core.{name}": change(state[f"0.core.{name}"])})
    model.load_state_dict(state)


def test_phases_beyond_a_turn_are_said_and_mean_the_same(caplog: pytest.LogCaptureFixture) -> None:
    model, state = on(MESH), on(MESH).state_dict()
    wanted = model[0].core.weight().detach().clone()
    turned = {**state, "0.core.u_phases": state["0.core.u_phases"] - 2 * torch.pi}
    with caplog.at_level(logging.WARNING, "lightloom"):
        model.load_state_dict(turned)
    assert "0.core" in caplog.text or "`u_phases`" in caplog.text
    assert torch.allclose(model[0].core.weight(), wanted, atol=2e-2)
    caplog.clear()
    model[0].core.switch("phase")  # trained phases go anywhere
    model.load_state_dict(turned)
    assert not caplog.text
