"""The absorber bench gives plain figures, every one of them."""

import json
from itertools import product

import pytest
import yaml

from lightloom.bench import absorber as bench


def test_every_figure_is_there_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_SHAPE", (2, 3, 4, 4))
    figures = bench.absorber(rounds=1)
    assert json.loads(json.dumps(figures)) == yaml.safe_load(yaml.safe_dump(figures)) == figures
    kinds = product(("", "torch_"), ("thin", "propagated"), ("probe", "exact"), ("tanh", "relu"))
    for way, form, gradient, plain in kinds:
        assert figures[f"{way}{form}_{gradient}_vs_{plain}"] > 0
    assert {"broadened_exact_vs_tanh", "lossy_exact_vs_tanh", "tanh_ms", "backend", "note", "threads", "torch"} <= set(
        figures
    )
