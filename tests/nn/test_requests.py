"""What is handed over wrongly is refused with the mend: specimens, chips, seeds, networks."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightloom import chips, cost
from lightloom import nn as optical
from lightloom.common.errors import RequestError
from lightloom.nn import (
    MeshCore,
    OpticalLinear,
    PCMCore,
    SpecimenEnsemble,
    convert,
    install,
    optical_layers,
    plan,
    switch,
)

MESH = chips.preset("l2ight").replace(block_size=4)
PCM = chips.preset("elight", chips.PCMChip).replace(block_size=4)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


OTHERS: list[tuple[chips.Chip, chips.Chip]] = [
    (MESH, chips.preset("ideal")),
    (MESH, chips.preset("noems")),
    (MESH, PCM),
    (PCM, MESH),
    (MESH, MESH.replace(gamma_std=0.001)),
    (MESH, MESH.replace(phase_bias=0.0)),
    (MESH, MESH.replace(crosstalk=0.0)),
    (MESH, MESH.replace(weight_bits=4)),
    (PCM, PCM.replace(stuck_fraction=0.1)),
    (PCM, PCM.replace(levels=8)),
]


@pytest.mark.parametrize(("own", "other"), OTHERS, ids=lambda chip: chip.name)
def test_a_specimen_of_other_hardware_is_refused_and_nothing_is_installed(own: chips.Chip, other: chips.Chip) -> None:
    model = convert(network(), own).model
    before = [layer.weight.clone() for layer in optical_layers(model).values()]
    with pytest.raises(RequestError, match="which is other hardware: `"):
        install(model, other.specimen(0))
    with pytest.raises(RequestError, match=r"core\.chip\.specimen"):
        next(iter(optical_layers(model).values())).core.install(other.specimen(0))
    after = [layer.weight for layer in optical_layers(model).values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_chip_of_another_name_is_the_same_hardware() -> None:
    model = convert(network(), MESH).model
    install(model, MESH.replace(name="mine").specimen(3))
    same = convert(network(), MESH).model
    install(same, 3)
    cores = [[layer.core.specimen.seed for layer in optical_layers(m).values()] for m in (model, same)]  # type: ignore[union-attr]
    assert cores == [[3, 3], [3, 3]]


def test_models_of_several_chips_take_a_seed() -> None:
    model = convert(network(), MESH, places={"2": PCM}).model
    with pytest.raises(RequestError, match="technology"):
        install(model, MESH.specimen(0))
    install(model, np.int64(0))


def test_chips_go_by_name() -> None:
    for made in (convert(network(), "l2ight").model, OpticalLinear(4, 4, chip="l2ight")):
        assert all(layer.chip == chips.preset("l2ight") for layer in optical_layers(made).values())
    placed = plan(network(), "noems", places={"0": "elight", "2": "electronics"}).layers
    assert [layer.chip.name if layer.chip else "" for layer in placed] == ["elight", ""]
    assert cost.estimate(network(), torch.zeros(1, 6), chip="noems").layers
    for call in (
        lambda: convert(network(), "l2igt"),
        lambda: convert(network(), "noems", places={"0": "l2igt"}),
        lambda: cost.estimate(network(), torch.zeros(1, 6), chip="l2igt"),
    ):
        with pytest.raises(RequestError, match="Did you mean `l2ight`"):
            call()


@pytest.mark.parametrize("wrong", [chips.absorber("aonn"), chips.diffractive("phoenix"), MESH.specimen(0), 3, [MESH]])
def test_what_has_no_tensor_cores_is_told_what_it_is_for(wrong: Any) -> None:
    for call in (
        lambda: convert(network(), wrong),
        lambda: plan(network(), None, places={"0": wrong}),
        lambda: OpticalLinear(4, 4, chip=wrong),
        lambda: MeshCore(wrong, 4, 4),
        lambda: PCMCore(wrong, 4, 4),
        lambda: cost.estimate(network(), torch.zeros(1, 6), chip=wrong),
    ):
        with pytest.raises(RequestError) as error:
            call()
        purpose = getattr(type(wrong), "purpose", "")
        assert purpose in str(error.value) and ("chip" in str(error.value) or "Chip" in str(error.value))


def test_a_core_takes_chips_of_its_technology() -> None:
    with pytest.raises(RequestError, match=r"`l2ight`|MeshChip"):
        MeshCore(PCM, 4, 4)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"`elight`|PCMChip"):
        PCMCore(MESH, 4, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", ["a", True, 1.5, None, -1, 10**30, [0], float("nan"), Tensor()])
def test_what_is_no_seed_makes_no_specimen(seed: Any) -> None:
    for chip in (MESH, PCM):
        with pytest.raises(RequestError, match="`seed` is"):
            chip.specimen(seed)
    with pytest.raises(RequestError, match="seed"):
        SpecimenEnsemble(convert(network(), MESH).model, [seed])
    if seed is not None:
        with pytest.raises(RequestError, match="specimen"):
            install(convert(network(), MESH).model, seed)


def test_any_kind_of_integer_is_a_seed() -> None:
    for seed in (0, np.uint8(3), np.int64(2**40), torch.tensor(5), 2**63 - 1):
        assert MESH.specimen(seed).seed == int(seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda model: install(model, 0),
        lambda model: install(model, None),
        lambda model: switch(model, "weight"),
        lambda model: SpecimenEnsemble(model, [0]),
        lambda model: cost.estimate(model, torch.zeros(1, 6)),
    ],
)
def test_a_model_without_optical_layers_has_nothing_to_install(call: Any) -> None:
    for model in (network(), nn.Linear(6, 2), nn.Identity()):
        with pytest.raises(RequestError, match=r"[Cc]onvert"):
            call(model)
    for wrong in ("model", None, 3, [network()], nn.Linear, convert(network(), MESH)):
        with pytest.raises(RequestError, match="`model` is"):
            call(wrong)


def test_a_mode_that_one_core_has_not_switches_none() -> None:
    model = convert(network(), MESH, places={"2": PCM}).model
    with pytest.raises(ValueError, match="has the modes"):
        switch(model, "usv")
    assert {layer.core.mode for layer in optical_layers(model).values()} == {"usv", "levels"}


@pytest.mark.parametrize("chip", [MESH, PCM], ids=["mesh", "pcm"])
def test_a_model_goes_to_meta_and_back(chip: chips.Chip) -> None:
    model = convert(network(), chip).model.to("meta")
    assert model(torch.zeros(2, 6, device="meta")).shape == (2, 3)
    back = model.to_empty(device="cpu")
    assert all(not parameter.is_meta for parameter in back.parameters())


def test_rules_and_places_are_read_or_refused() -> None:
    for wrong in ({"only": 3}, {"skip": [3]}, {"places": [3]}, {"places": 3}, {"only": nn.Linear(2, 2)}):
        with pytest.raises(RequestError):
            optical.convert(network(), MESH, **wrong)  # type: ignore[arg-type]
