from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from lightloom.common.errors import RequestError
from lightloom.physics import mesh as physics
from lightloom.report import write_report
from lightloom.report.plots.mesh_drawing import Block, mesh_plot, mesh_plots, shifter_power
from lightloom.report.plots.schematic import PITCH, Schematic, schematic
from lightloom.report.readers.run import read_run

MESHES = [
    (2, "rectangle", "real"),
    (5, "rectangle", "real"),
    (8, "rectangle", "complex"),
    (9, "triangle", "real"),
    (6, "triangle", "complex"),
    (8, "butterfly", "real"),
    (16, "butterfly", "complex"),
]
POWER = 24.5e-3


def phases_of(mesh: Schematic, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 2 * math.pi, len(mesh.shifters))


def height_at(path: str, x: float) -> float:
    """The height of a waveguide where it runs level, from its path data alone."""
    y, here = 0.0, 0.0
    for command, numbers in re.findall(r"([MHC])([-\d.e ]+)", path):
        values = [float(number) for number in numbers.split()]
        end = values[-2] if command in "MC" else values[0]
        if command == "H" and here - 1e-6 <= x <= end + 1e-6:
            return y
        here, y = end, values[-1] if command in "MC" else y
    raise AssertionError(f"{path} is not level at {x}")


@pytest.mark.parametrize(("size", "layout", "field"), MESHES)
def test_the_drawn_mesh_makes_the_matrix_of_its_phases(size: int, layout: str, field: str) -> None:
    mesh = schematic(size, layout, field)
    phases = phases_of(mesh)
    matrix = np.eye(size, dtype=complex)
    # Light meets what stands further left first; phi stands in front of its theta.
    for shifter, phase in sorted(zip(mesh.shifters, phases, strict=True), key=lambda pair: pair[0].x):
        step = np.eye(size, dtype=complex)
        if shifter.kind == "θ":
            a, b = shifter.waveguides
            cos, sin = math.cos(phase), math.sin(phase)
            step[np.ix_([a, b], [a, b])] = [[cos, -sin], [sin, cos]]
        else:
            step[shifter.waveguides[0], shifter.waveguides[0]] = np.exp(1j * phase)
        matrix = step @ matrix
    built = physics.build(torch.tensor(phases), size=size, layout=layout, field=field)  # type: ignore[arg-type]
    np.testing.assert_allclose(matrix, built.numpy(), atol=1e-9)


@pytest.mark.parametrize(("size", "layout", "field"), MESHES)
def test_counts_follow_the_closed_forms(size: int, layout: str, field: str) -> None:
    mesh = schematic(size, layout, field)
    mzis = round(size / 2 * math.log2(size)) if layout == "butterfly" else size * (size - 1) // 2
    assert sum(shifter.kind == "θ" for shifter in mesh.shifters) == mzis
    assert len(mesh.shifters) == (mzis if field == "real" else 2 * mzis + size)
    columns = {"rectangle": size if size > 2 else 1, "triangle": 2 * size - 3, "butterfly": round(math.log2(size))}
    assert {s.column for s in mesh.shifters if s.column is not None} == set(range(columns[layout]))


@pytest.mark.parametrize(("size", "layout", "field"), MESHES)
def test_shifters_stand_on_their_waveguides_and_apart(size: int, layout: str, field: str) -> None:
    mesh = schematic(size, layout, field)
    for shifter in mesh.shifters:
        upper = height_at(mesh.paths[shifter.waveguides[0]], shifter.x)
        assert upper == pytest.approx(shifter.y)
        if shifter.kind == "θ":  # both arms, apart, within one slot of the drawing
            lower = height_at(mesh.paths[shifter.waveguides[1]], shifter.x)
            assert 15 < lower - upper < PITCH
    for one, other in itertools.combinations(mesh.shifters, 2):
        assert math.hypot(one.x - other.x, one.y - other.y) > 2 * 9.5
    for row, path in enumerate(mesh.paths):
        assert path.startswith(f"M0 {(row + 0.5) * PITCH:g}") and path.endswith(f"H{mesh.width:g}")
        assert height_at(path, mesh.width) == pytest.approx((row + 0.5) * PITCH)


def test_a_mesh_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        schematic(6, "butterfly", "real")
    with pytest.raises(ValueError, match="field"):
        schematic(4, "rectangle", "imaginary")


def block(power: float | None = POWER, attenuators: bool = True) -> tuple[Block, Schematic]:
    mesh = schematic(4, "rectangle", "real")
    tensors = {
        (side, kind): phases_of(mesh, seed)
        for seed, (side, kind) in enumerate(itertools.product("uv", ("commanded", "realised")))
    }
    return Block("fc", tensors, np.array([0.0, 1.0, 2.0, math.pi]) if attenuators else None, power), mesh


def test_power_grows_with_the_phase_within_one_turn() -> None:
    one, _ = block()
    turned = Block(one.layer, {key: phases + 4 * math.pi for key, phases in one.tensors.items()}, None, POWER)
    expected = {side.upper(): POWER / math.pi * one.tensors[side, "commanded"].sum() for side in "uv"}
    assert one.powers == pytest.approx(expected | {"attenuators": POWER / math.pi * (3 + math.pi)})
    assert turned.powers == pytest.approx(expected)
    assert block(power=None)[0].powers == {}


def test_every_shifter_tells_its_figures() -> None:
    one, mesh = block()
    plot = mesh_plot("mesh-0", one, mesh)
    titles = [title.text or "" for title in ElementTree.fromstring(plot.standalone()).iter() if "title" in title.tag]
    assert len(titles) == 2 * 6 + 4
    at = next(index for index, shifter in enumerate(mesh.shifters) if shifter.column == 2 and shifter.mzi == 4)
    phase = one.tensors["u", "commanded"][at]
    (told,) = [title for title in titles if title.startswith("U: θ of MZI 5, column 3, waveguides 3 and 4")]
    assert f"commanded {phase:.3f}\u00a0rad" in told
    assert f"held with {1e3 * POWER * phase / math.pi:.1f}\u00a0mW" in told
    assert "Attenuator on waveguide 4\ncommanded 3.142\u00a0rad\nheld with 24.5\u00a0mW" in titles
    assert sum(one.powers.values()) == pytest.approx(
        POWER / math.pi * sum(float(value) for value in re.findall(r"commanded ([\d.]+)", "\n".join(titles))), rel=1e-3
    )


def test_what_is_not_stored_is_not_made_up() -> None:
    one, mesh = block(power=None, attenuators=False)
    plot = mesh_plot("mesh-0", Block("fc", {("u", "realised"): one.tensors["u", "realised"]}, None, None), mesh)
    assert "mW" not in plot.source and "commanded" not in re.sub("left half as commanded", "", plot.source)
    assert plot.source.count("phase not stored") == 6 + 4
    assert plot.caption == "One of commanded and realised is not stored."


def test_a_wide_mesh_stands_above_the_other() -> None:
    def sides(size: int) -> tuple[float, float]:
        mesh = schematic(size, "triangle", "real")
        source = mesh_plot("x", Block("fc", {("u", "commanded"): phases_of(mesh)}, None, None), mesh).source
        width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', source).groups()  # type: ignore[union-attr]
        return float(width) / mesh.width, float(height) / mesh.height

    assert sides(8)[0] > 2 and sides(8)[1] < 2
    assert sides(16)[0] < 2 and sides(16)[1] > 2


def test_a_run_shows_drawings_up_to_sixteen_waveguides(run_folder: Path, made: SimpleNamespace) -> None:
    html = write_report(run_folder).read_text()
    assert html.count('aria-label="Meshes V and U') == 4
    assert "held with" not in html  # this chip names no power
    tensors = {"fc/u/commanded": np.zeros(17 * 16 // 2)}
    save_file(tensors, run_folder / "phases.safetensors", {"size": "17", "layout": "rectangle", "field": "real"})
    html = write_report(run_folder).read_text()
    assert "Meshes V and U" not in html and "Phases of the first block of fc on the mesh, 17 waveguides" in html


def test_power_is_that_of_the_chip_or_of_the_cost(run_folder: Path, change: Callable[..., None]) -> None:
    assert shifter_power(read_run(run_folder)) is None
    change("cost.json", constants=[{"name": "shifter_power", "value": 0.002, "unit": "W"}])
    assert shifter_power(read_run(run_folder)) == 0.002
    change("chip.json", devices={"shifter_power": {"value": 0.003, "unit": "W"}})
    assert shifter_power(read_run(run_folder)) == 0.003
    change("chip.json", devices={"shifter_power": {"value": "much"}})
    assert shifter_power(read_run(run_folder)) is None


def test_attenuators_follow_from_the_singular_values(run_folder: Path, made: SimpleNamespace) -> None:
    path = run_folder / "phases.safetensors"
    notes = {"size": str(made.size), "layout": "rectangle", "field": "real"}
    angles = np.linspace(0, math.pi, made.size)
    tensors = made.phases(["fc"])
    save_file(tensors | {"fc/sigma": 0.4 * np.cos(angles)}, path, notes)
    phases = read_run(run_folder).phases
    assert phases is not None
    np.testing.assert_allclose(phases.attenuators("fc"), angles, atol=1e-7)
    save_file(tensors | {"fc/sigma": 0.4 * np.cos(angles), "fc/gain": np.array([0.8])}, path, notes)
    phases = read_run(run_folder).phases
    assert phases is not None
    np.testing.assert_allclose(phases.attenuators("fc"), np.arccos(np.cos(angles) / 2), atol=1e-7)
    save_file(tensors | {"fc/sigma": np.zeros(3)}, path, notes)
    with pytest.raises(RequestError, match="fc/sigma"):
        read_run(run_folder)


def test_hostile_names_stay_text(run_folder: Path, made: SimpleNamespace) -> None:
    name = "<script>alert(1)</script>\"'&"
    made.save_phases(run_folder, [name])
    (plot,) = mesh_plots(read_run(run_folder))
    assert name in plot.label
    for text in (plot.standalone(), plot.inline()):
        assert "<script" not in text
        ElementTree.fromstring(text)
    (run_folder / "chip.json").write_text(json.dumps({"devices": {"shifter_power": None}}))
    assert "<script>alert" not in write_report(run_folder).read_text()
