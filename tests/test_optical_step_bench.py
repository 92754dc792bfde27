"""The bench of optical training steps gives plain figures of steps that train."""

import json

import pytest
from torch import nn

from lightloom.bench import optical_step as bench
from lightloom.nn import SaturableAbsorber


def test_every_figure_is_there_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_TURNS", {"mlp": 1, "cnn": 1})
    figures = bench.optical_step(rounds=1)
    assert json.loads(json.dumps(figures)) == figures
    for model in ("mlp", "cnn"):
        for kind in ("probe", "exact", "propagated", "ms"):
            assert figures[f"{model}_{kind}"] > 0


def test_ratios_are_medians_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    # two rounds of one turn, each after warming up: twice, then 4 times the plain one
    times = iter([6.0, 3.0, 8.0, 2.0])
    monkeypatch.setattr(bench, "_clock", lambda _: next(times))
    ratios, plain = bench._ratios({"slow": lambda: None}, lambda: None, 2, 1)
    assert (ratios, plain) == ({"slow": 3.0}, 2.5)


def test_a_step_trains_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[nn.Module] = []
    build = bench.build

    def watched(*args: object, **kwargs: object) -> nn.Module:
        built.append(build(*args, **kwargs))  # type: ignore[arg-type]
        return built[-1]

    monkeypatch.setattr(bench, "build", watched)
    for kind, absorber in bench._ABSORBERS.items():
        step = bench._step("mlp", 0, absorber)
        before = [p.detach().clone() for p in built[-1].parameters()]
        step()
        for new, old in zip(built[-1].parameters(), before, strict=True):
            # the first step of Adam is the learning rate wherever there is a gradient
            assert float((new.detach() - old).abs().max()) == pytest.approx(5e-4, rel=1e-2), kind
        gradients = {m.gradient for m in built[-1].modules() if isinstance(m, SaturableAbsorber)}
        assert gradients == {"probe" if kind == "probe" else "exact"}
