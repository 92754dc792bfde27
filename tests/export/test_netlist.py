"""Netlists make the matrices of their blocks: by SAX, and by following the light through the devices of the file."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError
from lightloom.physics import blocks

MESH = chips.preset("l2ight", chips.MeshChip)
KINDS = [(field, layout) for field in ("real", "complex") for layout in ("rectangle", "triangle", "butterfly")]


def core_of(field: str = "real", layout: str = "rectangle", size: int = 4, **changes: object) -> nn.MeshCore:
    """A core of 2 x 2 blocks with edges, in float64."""
    chip = MESH.replace(field=field, layout=layout, block_size=size, **changes)
    core = nn.MeshCore(chip, size + 1, size + 2).double()
    if layout == "butterfly":  # it starts with any phases, and cannot be programmed to a matrix
        core.sigma.data.normal_()
    else:
        core.program(torch.randn(size + 1, size + 2, dtype=torch.float64))
    return core


def whole_block(core: nn.MeshCore, block: tuple[int, int, int], *, realised: bool) -> np.ndarray:
    """U Sigma V of one block by `physics`, edges included."""
    if realised:
        u, v = core.meshes()
        made = (u * core.realised_sigma().unsqueeze(-2)) @ v
    else:
        ideal = nn.MeshCore(core.chip.ideal(), core.rows, core.columns).double()
        ideal.load_state_dict(core.state_dict())
        u, v = ideal.meshes()
        made = (u * core.sigma.detach().unsqueeze(-2)) @ v
    return made.detach()[block].numpy()


def follow(netlist: dict) -> np.ndarray:
    """The matrix of a netlist, by sending light into one input after the other; an MZI by the product of its parts."""
    top, mzi = netlist["block"], netlist["mzi"]
    goes_to = top["connections"]
    static = {name: device["settings"] for name, device in mzi["instances"].items()}
    size = len(top["ports"]) // 2
    entrance = {where: int(port[2:]) for port, where in top["ports"].items() if port.startswith("in")}
    exits = {where: int(port[3:]) for port, where in top["ports"].items() if port.startswith("out")}
    made = np.zeros((size, size), dtype=complex)
    light = {where: np.eye(size, dtype=complex)[port] for where, port in entrance.items()}

    def coupler(settings: dict) -> np.ndarray:
        through, across = np.sqrt(1 - settings["coupling"]), 1j * np.sqrt(settings["coupling"])
        return 10 ** (-settings["loss_db"] / 20) * np.array([[through, across], [across, through]])

    def transfer(device: dict) -> np.ndarray:
        own = device["settings"]
        if device["component"] == "mzi":
            phase = {name: own.get(name, static[name])["phase"] for name in ("outer", "static", "upper", "lower")}
            before, arms = (
                np.diag(np.exp(1j * np.array([phase[a], phase[b]])))
                for a, b in (("outer", "static"), ("upper", "lower"))
            )
            return coupler(static["second"]) @ arms @ coupler(static["first"]) @ before
        (value,) = own.values()
        return np.array([[np.exp(1j * value) if "phase" in own else value]])

    for name, device in top["instances"].items():  # they stand in the order of the light
        ports = 2 if device["component"] == "mzi" else 1
        out = transfer(device) @ np.stack([light[f"{name},in{port}"] for port in range(ports)])
        for port in range(ports):
            end = f"{name},out{port}"
            if end in exits:
                made[exits[end]] = out[port]
            else:
                light[goes_to[end]] = out[port]
    return made


def test_sax_makes_the_same_matrices_from_the_files_alone(tmp_path: Path, judge) -> None:
    wanted = {}
    for number, ((field, layout), realised) in enumerate(product(KINDS, (False, True))):
        core = core_of(field, layout, size=4, insertion_loss_db=0.3 * realised)
        core.install(core.chip.specimen(seed=number))
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(export.netlist(core, (0, 1, 0), realised=realised)))
        wanted[path] = whole_block(core, (0, 1, 0), realised=realised)
    made = judge(list(wanted))
    for path, matrix in wanted.items():
        assert abs(made[path] - matrix).max() < 1e-6 * abs(matrix).max(), path


@pytest.mark.parametrize(("field", "layout"), KINDS)
@pytest.mark.parametrize("realised", [False, True])
def test_light_that_follows_the_netlist_makes_the_block(field: str, layout: str, realised: bool) -> None:
    core = core_of(field, layout, insertion_loss_db=0.2, gamma_std=0.01)
    core.install(core.chip.specimen(seed=1))
    for block in product(*map(range, core.blocks)):
        wanted = whole_block(core, block, realised=realised)
        made = follow(export.netlist(core, block, realised=realised))
        assert abs(made - wanted).max() < 1e-11 * max(1, abs(wanted).max())


@given(size=st.integers(2, 9), seed=st.integers(0, 10**6), layout=st.sampled_from(["rectangle", "triangle"]))
def test_a_block_of_any_size_is_the_weight_that_was_asked_for(size: int, seed: int, layout: str) -> None:
    target = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    core = nn.MeshCore(MESH.replace(block_size=size, layout=layout), size, size).double()
    core.program(target)
    assert abs(follow(export.netlist(core)) - target.numpy()).max() < 1e-10


def test_blocks_of_all_files_join_to_the_effective_weight(tmp_path: Path) -> None:
    layer = torch.nn.Linear(11, 7)
    model = nn.convert(torch.nn.Sequential(layer), MESH.replace(block_size=4)).model.double()
    nn.install(model, MESH.replace(block_size=4).specimen(seed=2))
    index = export.write_netlists(model, tmp_path / "netlists", realised=True)
    (described,) = index["layers"].values()
    matrices = [follow(json.loads((tmp_path / "netlists" / file).read_text())) for file in described["files"]]
    joined = torch.from_numpy(np.stack(matrices)).real.view(*described["blocks"], 4, 4)
    made = blocks.from_blocks(joined, 7, 11)[0]
    assert torch.allclose(made, nn.cores(model, nn.MeshCore)["0"].weight(), rtol=0, atol=1e-9)
    assert json.loads((tmp_path / "netlists" / "netlists.json").read_text()) == index


def test_a_block_of_zeros_lets_nothing_through() -> None:
    core = nn.MeshCore(MESH.replace(block_size=3), 3, 3).double()
    core.program(torch.zeros(3, 3, dtype=torch.float64))
    assert abs(follow(export.netlist(core))).max() == 0
    assert abs(follow(export.netlist(core, realised=True))).max() == 0


def test_a_gain_above_the_singular_values_is_electronic() -> None:
    core = core_of(size=3)
    core.gain.fill_(50.0)
    netlist = export.netlist(core)
    receivers = [d["settings"]["gain"] for d in netlist["block"]["instances"].values() if d["component"] == "receiver"]
    assert {abs(gain) for gain in receivers} == {50.0}
    assert abs(follow(netlist) - whole_block(core, (0, 0, 0), realised=False)).max() < 1e-11


def test_layers_and_blocks_are_limited(tmp_path: Path) -> None:
    plain = torch.nn.Sequential(torch.nn.Linear(20, 20), torch.nn.Linear(20, 4))
    model = nn.convert(plain, MESH.replace(block_size=4)).model
    index = export.write_netlists(model, tmp_path / "a", layers="1", blocks=2)
    assert [len(layer["files"]) for layer in index["layers"].values()] == [2]
    index = export.write_netlists(model, tmp_path / "b", layers=["*"], blocks=[(0, 0, 3)])
    assert [layer["files"] for layer in index["layers"].values()] == [["000-0/0-0-3.json"], ["001-1/0-0-3.json"]]
    with pytest.raises(RequestError, match="no block"):
        export.write_netlists(model, tmp_path / "c", blocks=[(0, 9, 0)])
    with pytest.raises(RequestError, match="at least 1"):
        export.write_netlists(model, tmp_path / "c", blocks=0)
    with pytest.raises(RequestError, match="Did you mean `1`"):
        export.write_netlists(model, tmp_path / "c", layers="11")
    assert not (tmp_path / "c").exists()


def test_very_many_blocks_need_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightloom.export.mesh.netlist_files.MOST_FILES", 3)
    model = nn.convert(torch.nn.Linear(8, 8), MESH.replace(block_size=4)).model
    with pytest.raises(RequestError, match="4 blocks"):
        export.write_netlists(model, tmp_path / "all")
    assert len(export.write_netlists(model, tmp_path / "all", blocks=4)["layers"][""]["files"]) == 4


def test_what_is_no_mesh_is_refused() -> None:
    pcm = nn.convert(torch.nn.Linear(4, 4), chips.preset("elight")).model
    with pytest.raises(RequestError, match="is no mesh"):
        export.netlist(pcm)
    twin = nn.convert(torch.nn.Linear(4, 4), MESH, mode="weight").model
    with pytest.raises(RequestError, match="electronic twin"):
        export.netlist(twin)
