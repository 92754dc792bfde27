"""A saved network comes back with the same outputs, whatever it is made of; what does not fit is refused."""

import itertools
import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError
from lightloom.physics.pcm import schedule

MESH = chips.preset("thermo-optic", chips.MeshChip).replace(block_size=4)
ELIGHT = chips.preset("elight", chips.PCMChip).replace(block_size=4)
CHIPS = {
    "mesh": MESH,
    "complex": MESH.replace(field="complex", layout="triangle"),
    "butterfly": MESH.replace(layout="butterfly"),
    "ideal": MESH.ideal(),
    "pcm": ELIGHT.replace(absorption_std=0.02, stuck_fraction=0.01),
}


def answer(model: torch.nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        made: Tensor = model.eval()(x)
    return made


@pytest.mark.parametrize("name", list(CHIPS))
def test_a_fresh_model_becomes_the_saved_one(tmp_path: Path, network, name: str) -> None:
    chip, x = CHIPS[name], torch.randn(3, 2, 4, 4)
    model = nn.convert(network(), chip).model
    model(x)  # the running statistics of a norm are saved too
    nn.install(model, chip.specimen(seed=5))
    wanted = answer(model, x)
    export.save(model, tmp_path / "saved", sample=x, note="a note")
    fresh = network()
    before = {key: tensor.clone() for key, tensor in fresh.state_dict().items()}
    again = export.load(tmp_path / "saved", fresh)
    assert torch.equal(answer(again, x), wanted)
    assert export.check(tmp_path / "saved", again) == 0
    assert all(torch.equal(tensor, before[key]) for key, tensor in fresh.state_dict().items())
    assert [type(layer.chip) for layer in nn.optical_layers(again).values()] == [type(chip)] * 3
    assert torch.equal(answer(export.load(tmp_path / "saved", again), x), wanted)


@pytest.mark.parametrize("mode", ["usv", "phase", "weight"])
def test_modes_come_back(tmp_path: Path, mode: str) -> None:
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), MESH, mode=mode).model
    export.save(model, tmp_path / "saved")
    again = export.load(tmp_path / "saved", torch.nn.Sequential(torch.nn.Linear(6, 5)))
    core = again[0].core
    assert core.mode == mode
    assert {name for name, p in again.named_parameters() if p.requires_grad} == {
        name for name, p in model.named_parameters() if p.requires_grad
    }
    assert torch.equal(core.weight(), model[0].core.weight())


def test_orders_of_crossbars_come_back(tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(17, 9), torch.nn.ReLU(), torch.nn.Linear(9, 3))
    model = nn.convert(plain, ELIGHT).model
    for core in nn.cores(model, nn.PCMCore).values():
        core.place(nn.reorder(core))
    export.save(model, tmp_path / "saved")
    again = nn.cores(export.load(tmp_path / "saved", plain), nn.PCMCore)
    for name, core in nn.cores(model, nn.PCMCore).items():
        assert all(torch.equal(*both) for both in zip(core.schedule, again[name].schedule, strict=True))
    assert not torch.equal(again["0"].schedule.columns, again["0"].natural.columns.expand_as(again["0"].turns))


def test_several_chips_of_one_name(tmp_path: Path) -> None:
    def fresh() -> torch.nn.Sequential:
        return torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(4)))

    places = {"0": MESH, "1": MESH.replace(block_size=2), "2": ELIGHT, "3": None}
    model = nn.convert(fresh(), None, places=places).model
    x = torch.randn(2, 6)
    saved = export.save(model, tmp_path / "saved")
    assert [layer["chip"] for layer in saved["layers"]] == ["thermo-optic", "thermo-optic (2)", "elight"]
    again = export.load(tmp_path / "saved", fresh())
    assert [layer.chip for layer in nn.optical_layers(again).values()] == [MESH, places["1"], ELIGHT]
    assert type(again[3]) is torch.nn.Linear
    assert torch.equal(answer(again, x), answer(model, x))


def test_a_layer_alone_and_a_shared_one(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Linear(5, 4), MESH).model
    export.save(model, tmp_path / "root")
    x = torch.randn(2, 5)
    assert torch.equal(answer(export.load(tmp_path / "root", torch.nn.Linear(5, 4)), x), answer(model, x))


def test_tied_layers_are_stored_once(tmp_path: Path) -> None:
    def fresh() -> torch.nn.Sequential:
        made = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU(), torch.nn.Linear(6, 6, bias=False))
        made[2].weight = made[0].weight
        return made

    model = nn.convert(fresh(), MESH).model
    saved = export.save(model, tmp_path / "saved")
    assert saved["layers"][1]["tied_to"] == "0"
    assert saved["shared"]["2.core.sigma"] == "0.core.sigma"
    with safe_open(tmp_path / "saved" / "model.safetensors", framework="pt") as stored:
        assert not [name for name in stored.keys() if name.startswith("2.core")]  # noqa: SIM118
    again = export.load(tmp_path / "saved", fresh())
    assert again[0].core is again[2].core
    x = torch.randn(3, 6)
    assert torch.equal(answer(again, x), answer(model, x))

    apart = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.ReLU(), torch.nn.Linear(6, 6, bias=False))
    export.save(nn.convert(apart, MESH).model, tmp_path / "apart")
    with pytest.raises(RequestError, match="are tied in the model"):
        export.load(tmp_path / "apart", fresh())


def test_half_precision_keeps_its_type(tmp_path: Path) -> None:
    def fresh() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(6, 5)).bfloat16()

    model, x = nn.convert(fresh(), MESH).model, torch.randn(2, 6).bfloat16()
    export.save(model, tmp_path / "saved", sample=x)
    again = export.load(tmp_path / "saved", fresh())
    assert torch.equal(answer(again, x), answer(model, x))
    assert export.check(tmp_path / "saved", again) == 0


def test_the_same_network_gives_the_same_bytes(tmp_path: Path, network) -> None:
    model, x = nn.convert(network(), MESH).model, torch.randn(2, 2, 4, 4)
    for name in ("a", "b", "b"):  # the last one replaces its own
        export.save(model, tmp_path / name, sample=x)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == [".lightloom", "chips.json", "lightloom.json", "model.safetensors", "sample.safetensors"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@given(
    sizes=st.lists(st.integers(1, 7), min_size=2, max_size=4),
    size=st.integers(2, 5),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_stack_of_layers_comes_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], size: int, bias: bool, seed: int
) -> None:
    def fresh() -> torch.nn.Module:
        pairs = itertools.pairwise(sizes)
        return torch.nn.Sequential(*(torch.nn.Linear(inputs, outputs, bias) for inputs, outputs in pairs))

    torch.manual_seed(seed)
    chip = MESH.replace(block_size=size)
    model, x = nn.convert(fresh(), chip).model, torch.randn(2, sizes[0])
    nn.install(model, chip.specimen(seed))
    folder = tmp_path_factory.mktemp("any") / "saved"
    export.save(model, folder)
    assert torch.equal(answer(export.load(folder, fresh()), x), answer(model, x))


# weights alone


def test_weights_go_onto_another_chip_of_the_same_form(tmp_path: Path, network) -> None:
    x = torch.randn(2, 2, 4, 4)
    export.save(nn.convert(network(), MESH).model, tmp_path / "saved")
    other = MESH.replace(name="rough", weight_bits=4, crosstalk=0.02)
    model = nn.convert(network(), other).model
    nn.install(model, other.specimen(seed=9))
    export.load_weights(model, tmp_path / "saved")
    wanted = nn.convert(export.load(tmp_path / "saved", network()), other).model  # nothing is left to convert
    assert {layer.chip.name for layer in nn.optical_layers(wanted).values()} == {MESH.name}
    for name, core in nn.cores(model, nn.MeshCore).items():
        twin = nn.cores(wanted, nn.MeshCore)[name]
        assert core.chip == other
        assert core.specimen is not None and core.specimen.seed == 9
        assert torch.equal(core.sigma, twin.sigma) and torch.equal(core.u_phases, twin.u_phases)
    assert not torch.equal(answer(model, x), answer(wanted, x))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (MESH.replace(block_size=3), "`block_size` 4 as saved, 3 here"),
        (MESH.replace(layout="triangle"), "`layout` rectangle as saved, triangle here"),
        (MESH.replace(field="complex"), "`field` real as saved, complex here"),
        (ELIGHT, "saved on a mesh chip"),
    ],
)
def test_weights_of_another_form_are_refused(tmp_path: Path, other: chips.Chip, told: str) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(6, 5))
    export.save(nn.convert(plain, MESH).model, tmp_path / "saved")
    model = nn.convert(plain, other).model
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(RequestError, match=told):
        export.load_weights(model, tmp_path / "saved")
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_an_order_needs_hardware_that_can_follow_it(tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(17, 9))
    model = nn.convert(plain, ELIGHT).model
    export.save(model, tmp_path / "natural")
    shared = nn.convert(plain, ELIGHT.replace(sharing="block_shared")).model
    export.load_weights(shared, tmp_path / "natural")
    model[0].core.place(nn.reorder(model[0].core))
    export.save(model, tmp_path / "ordered")
    with pytest.raises(RequestError, match="`sharing` row_private as saved, block_shared here"):
        export.load_weights(shared, tmp_path / "ordered")
    fewer = nn.convert(plain, ELIGHT.replace(levels=8)).model
    with pytest.raises(RequestError, match="`levels` 16 as saved, 8 here"):
        export.load_weights(fewer, tmp_path / "natural")


def test_loading_keeps_to_the_chip_of_the_folder(tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(6, 5))
    export.save(nn.convert(plain, MESH).model, tmp_path / "saved")
    with pytest.raises(RequestError, match=r"`crosstalk` differ.*`load_weights`"):
        export.load(tmp_path / "saved", nn.convert(plain, MESH.replace(crosstalk=0.03)).model)


# specimens


def test_a_specimen_is_noted_where_it_is_wanted(tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(6, 5))
    model = nn.convert(plain, MESH).model
    nn.install(model, MESH.specimen(seed=3))
    assert export.save(model, tmp_path / "with")["layers"][0]["specimen"] == 3
    assert export.save(model, tmp_path / "without", specimens=False)["layers"][0]["specimen"] is None
    weight = model[0].core.weight()
    assert torch.equal(export.load(tmp_path / "with", plain)[0].core.weight(), weight)
    bare = export.load(tmp_path / "without", plain)[0].core
    assert bare.specimen is None and not torch.equal(bare.weight(), weight)
    nn.install(model, None)
    assert torch.equal(bare.weight(), model[0].core.weight())


def test_a_specimen_that_no_seed_describes_is_refused(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), MESH).model
    core = model[0].core
    core.chip = MESH.replace(gamma_std=0.02)
    nn.install(model, 3)
    core.chip = MESH  # the devices are of another chip than this one
    with pytest.raises(RequestError, match="specimens=False"):
        export.save(model, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


# what does not fit


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    plain = torch.nn.Sequential()
    for name, layer in (("stem", torch.nn.Linear(6, 6)), ("head", torch.nn.Linear(6, 2))):
        plain.add_module(name, layer)
    export.save(nn.convert(plain, MESH).model, tmp_path / "saved")
    parts = dict(plain.named_children())
    with pytest.raises(RequestError, match=r"no layer `head`.*Did you mean `heads`"):
        export.load(tmp_path / "saved", torch.nn.ModuleDict({"stem": plain.stem, "heads": plain.head}))
    with pytest.raises(RequestError, match=r"saved as OpticalLinear of 1 x \[6, 6\].*1 x \[7, 6\]"):
        export.load(tmp_path / "saved", torch.nn.ModuleDict({"stem": torch.nn.Linear(6, 7), "head": plain.head}))
    with pytest.raises(RequestError, match=r"`head.bias` is not in the model"):
        export.load(
            tmp_path / "saved", torch.nn.ModuleDict({"stem": plain.stem, "head": torch.nn.Linear(6, 2, bias=False)})
        )
    with pytest.raises(RequestError, match="float32"):
        export.load(tmp_path / "saved", torch.nn.ModuleDict({"stem": plain.stem, "head": plain.head}).double())
    with pytest.raises(RequestError, match=r"`extra.weight` was not saved"):
        export.load(tmp_path / "saved", torch.nn.Sequential(OrderedDict(**parts, extra=torch.nn.LayerNorm(2))))
    with pytest.raises(RequestError, match="`head` is on a chip in the model"):
        export.save(nn.convert(plain, MESH, skip="head").model, tmp_path / "partly")
        export.load(tmp_path / "partly", nn.convert(plain, MESH).model)
    with pytest.raises(RequestError, match="does not say how to build"):
        export.load(tmp_path / "saved")


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No layer of this network is on a chip"):
        export.save(torch.nn.Linear(3, 3), tmp_path / "saved")
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), MESH).model
    model[0].bias.data[2] = float("inf")
    with pytest.raises(RequestError, match=r"`0.bias` holds Inf"):
        export.save(model, tmp_path / "saved")
    model[0].bias.data[2] = float("nan")
    with pytest.raises(RequestError, match=r"`0.bias` holds NaN"):
        export.save(model, tmp_path / "saved")
    model[0].bias.data[2] = 0
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    export.save(model, tmp_path / "saved")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(RequestError, match="holds something else"):
        export.save(model, tmp_path / "other")
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"


def test_a_folder_without_a_sample_says_so(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), MESH).model
    export.save(model, tmp_path / "saved")
    with pytest.raises(RequestError, match="no sample"):
        export.check(tmp_path / "saved", model)
    export.save(model, tmp_path / "saved", sample=(torch.randn(2, 6),))
    model[0].bias.data += 1
    assert export.check(tmp_path / "saved", model) > 0.1


def test_weights_and_hardware_are_apart(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5)), ELIGHT).model
    export.save(model, tmp_path / "saved")
    described = json.loads((tmp_path / "saved" / "chips.json").read_text())
    assert chips.PCMChip.parse(described["elight"]) == ELIGHT
    with safe_open(tmp_path / "saved" / "model.safetensors", framework="pt") as stored:
        assert set(stored.keys()) == set(model.state_dict())
        assert len(stored.metadata()) == 1


def test_an_order_that_is_none_is_refused(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(9, 5)), ELIGHT).model
    core = model[0].core
    core.place(nn.reorder(core))
    core.turns = torch.where(core.turns == 3, 4, core.turns)  # a column twice, another one not at all
    export.save(model, tmp_path / "saved")
    with pytest.raises(ValueError, match="sits"):
        schedule.check(core.schedule, *core.shape)
    with pytest.raises(RequestError, match="order of layer `0` is none of its matrix"):
        export.load(tmp_path / "saved", torch.nn.Sequential(torch.nn.Linear(9, 5)))
