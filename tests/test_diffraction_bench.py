"""The diffraction bench gives plain figures, and compares ways that compute the same."""

import json

import pytest
import torch
import yaml

from lightloom.bench import diffraction as bench
from lightloom.bench.measure import peak_of_child
from lightloom.nn import DiffractiveConv2d


def test_every_figure_is_there_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CASES", {"": bench.Case(4, 16, 8)})
    monkeypatch.setattr(bench, "peak_of_child", lambda name, way, seed, *case: 1 + len(way))
    figures = bench.diffraction(rounds=1)
    assert json.loads(json.dumps(figures)) == yaml.safe_load(yaml.safe_dump(figures)) == figures
    for name in ("dense_speedup", "dense_memory_ratio", "depthwise_speedup", "depthwise_memory_ratio"):
        assert figures[name] > 0
    assert figures["dense_error"] < 1e-5 and figures["odd_error"] < 1e-5
    assert figures["published_error"] < 1e-3


def test_the_published_way_computes_the_same_layer() -> None:
    case = bench.Case(3, 12, 6)
    layer = DiffractiveConv2d(3, 3, bench._chip(case), check="ignore").double()
    x = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(bench.published(x, layer.turns, layer.weight, layer.chip), layer(x))


def test_a_process_of_its_own_reports_its_memory() -> None:
    small, large = (peak_of_child("diffraction", "published", 0, *bench.Case(channels, 16, 8)) for channels in (2, 64))
    assert large > 2**12 and large > 8 * small  # KiB
