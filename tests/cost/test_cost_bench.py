"""The bench of costs: its figures are those of the networks that it names."""

import pytest

from lightloom.bench.cost import cost


def test_large_networks_are_costed_without_programming() -> None:
    pytest.importorskip("transformers")
    told = cost(rounds=1, cores=64)
    assert told["resnet-50"]["macs"] == pytest.approx(4.09e9, rel=0.01)  # published: 4.1 G and 17.6 G multiply-adds
    assert told["vit-b"]["macs"] == pytest.approx(17.56e9, rel=0.01)
    assert told["resnet-50"]["layers"] == 54
    assert told["vit-b"]["cores"] == 64
    assert told["seconds"] == max(told[name]["seconds"] for name in ("resnet-50", "vit-b"))
