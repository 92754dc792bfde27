"""The mesh bench: its loop is an independent decomposition, and its figures are all there."""

import json

import numpy as np
import pytest
import torch

from lightloom.bench.mesh.build import loop_build, loop_decompose, mesh


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13])
def test_the_loop_is_right_by_itself(size: int) -> None:
    matrix = torch.linalg.qr(torch.randn(5, size, size, dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(loop_build(*loop_decompose(matrix), size), matrix, atol=1e-13)


def test_every_figure_is_there() -> None:
    figures = json.loads(json.dumps(mesh(sizes=(2, 5), repeats=1)))
    for table in (figures, figures["blocks512"], figures["torch"], figures["torch"]["blocks512"]):
        for verb in ("build_speedup", "decompose_speedup"):
            assert table[verb].keys() == {"2", "5"} and min(table[verb].values()) > 0
    assert figures["backend"] in ("compiled", "torch")
    assert figures["largest_difference"] < 1e-13
