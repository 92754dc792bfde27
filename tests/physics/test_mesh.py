"""Layouts of meshes and the places of their heaters, against their definitions and hand-drawn chips."""

import math

import pytest
import torch

from lightloom.physics import mesh


def drawn(size: int, layout: str) -> list[list[tuple[int, int]]]:
    """The (upper, lower) waveguides of every column, written down from the definition of the layout."""
    if layout == "rectangle":
        return [[(r, r + 1) for r in range(column % 2, size - 1, 2)] for column in range(size)]
    if layout == "triangle":
        return [
            [(r, r + 1) for r in range(size - 1) if column in range(r, 2 * (size - 2) - r + 1, 2)]
            for column in range(2 * size - 3)
        ]
    return [[(r, r + (1 << s)) for r in range(size) if not r >> s & 1] for s in range(int(math.log2(size)))]


@pytest.mark.parametrize("layout", mesh.LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_wiring_follows_the_definition(size: int, layout: mesh.Layout) -> None:
    columns = [column for column in drawn(size, layout) if column]
    wires = mesh.wiring(size, layout)
    assert list(zip(wires.upper.tolist(), wires.lower.tolist(), strict=True)) == [x for c in columns for x in c]
    assert wires.column.tolist() == [number for number, column in enumerate(columns) for _ in column]
    assert mesh.depth(size, layout) == len(columns)


@pytest.mark.parametrize("size", [3, 5, 9])
@pytest.mark.parametrize("layout", mesh.UNIVERSAL_LAYOUTS)
def test_wiring_of_odd_sizes(size: int, layout: mesh.Layout) -> None:
    wires = mesh.wiring(size, layout)
    assert list(zip(wires.upper.tolist(), wires.lower.tolist(), strict=True)) == [
        pair for column in drawn(size, layout) for pair in column
    ]


def test_counts() -> None:
    assert [mesh.mzi_count(8, layout) for layout in mesh.LAYOUTS] == [28, 28, 12]
    assert [mesh.depth(8, layout) for layout in mesh.LAYOUTS] == [8, 13, 3]
    assert mesh.phase_count(8, "rectangle", "real") == 28
    assert mesh.phase_count(8, "rectangle", "complex") == 2 * 28 + 8
    assert [mesh.phase_count(1, layout, "complex") for layout in mesh.LAYOUTS] == [1, 1, 1]


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two waveguides"):
        mesh.wiring(6, "butterfly")
    with pytest.raises(ValueError, match="1 waveguide or more, not 0"):
        mesh.mzi_count(0, "rectangle")
    with pytest.raises(ValueError, match="rectangle, triangle, butterfly, not 'francis'"):
        mesh.wiring(4, "francis")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="real, complex, not 'quaternion'"):
        mesh.phase_count(4, "rectangle", "quaternion")  # type: ignore[arg-type]


def test_heaters_of_a_real_rectangle() -> None:
    # Column 0 joins (0, 1), (2, 3); column 1 joins (1, 2); and again.
    assert mesh.heater_positions(4, "rectangle", "real").tolist() == [[0, 0], [2, 0], [1, 1], [0, 2], [2, 2], [1, 3]]


def test_heaters_of_a_complex_triangle() -> None:
    # k = 3: MZIs (0, 1), (1, 2), (0, 1) in columns 0, 1, 2; theta behind phi; outputs in column 6.
    expected = [[0, 1], [1, 3], [0, 5], [0, 0], [1, 2], [0, 4], [0, 6], [1, 6], [2, 6]]
    assert mesh.heater_positions(3, "triangle", "complex").tolist() == expected


def test_heaters_of_a_butterfly_count_the_mzis_of_a_column() -> None:
    assert mesh.heater_positions(4, "butterfly", "real").tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_neighbours_on_a_rectangle_are_the_checkerboard() -> None:
    near = mesh.neighbours(6, "rectangle", "real")
    places = [tuple(place) for place in mesh.heater_positions(6, "rectangle", "real").tolist()]
    middle = places.index((2, 2))
    assert {places[i] for i in near[middle].tolist() if i < len(places)} == {
        (0, 2), (4, 2), (1, 1), (3, 1), (1, 3), (3, 3),
    }  # fmt: skip
    corner = places.index((0, 0))
    assert {places[i] for i in near[corner].tolist() if i < len(places)} == {(2, 0), (1, 1)}


def test_neighbours_on_a_triangle_leave_out_the_column() -> None:
    near = mesh.neighbours(5, "triangle", "real")
    places = [tuple(place) for place in mesh.heater_positions(5, "triangle", "real").tolist()]
    assert {places[i] for i in near[places.index((1, 3))].tolist() if i < len(places)} == {
        (0, 2),
        (2, 2),
        (0, 4),
        (2, 4),
    }


def test_phi_and_theta_of_an_mzi_warm_each_other() -> None:
    near = mesh.neighbours(4, "triangle", "complex").tolist()
    mzis = mesh.mzi_count(4, "triangle")
    assert all(mzis + mzi in near[mzi] and mzi in near[mzis + mzi] for mzi in range(mzis))


@pytest.mark.parametrize("layout", mesh.LAYOUTS)
@pytest.mark.parametrize("field", mesh.FIELDS)
@pytest.mark.parametrize("size", [1, 2, 8])
def test_warming_is_mutual(size: int, layout: mesh.Layout, field: mesh.Field) -> None:
    near = mesh.neighbours(size, layout, field)
    count = mesh.phase_count(size, layout, field)
    assert near.dtype == torch.int64 and near.shape[0] == count
    coupled = torch.zeros(count, count + 1, dtype=torch.bool)
    coupled[torch.arange(count).unsqueeze(1), near] = True
    assert torch.equal(coupled[:, :count], coupled[:, :count].T)
    assert not coupled.diagonal().any()
