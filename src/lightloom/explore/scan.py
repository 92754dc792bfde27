"""Measures a network with some of its layers on the chip, each choice of layers once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.files import write_json
from lightloom.common.records import read_record
from lightloom.data import Samples
from lightloom.explore import digest
from lightloom.explore.layer_selector import LayerSelector
from lightloom.explore.point import accuracy, drawn_from
from lightloom.explore.yields import accuracies
from lightloom.nn.specimen_ensemble import SpecimenEnsemble

Score = Callable[[nn.Module], float]
"""How good a model is; more is better."""

_PROBED = 64  # samples whose outputs are compared


class ScoreCache:
    """What was measured already, by what decides it.

    Args:
        path: A file that keeps it; None keeps it in memory.
        about: What decides everything that is measured here.

    Raises:
        RequestError: The file is there and cannot be read, or holds something else.
    """

    def __init__(self, path: Path | None, about: str) -> None:
        self.path, self.about = path, about
        self.values: dict[str, Any] = {}
        if path is not None:
            self.values = read_record(path, dict[str, float | list[float]], {})

    def get(self, what: str, measure: Callable[[], Any]) -> Any:
        """What `measure()` gave the first time.

        Args:
            what: Name of the measurement among those of this cache.
            measure: Makes it where it is not there yet.

        Raises:
            WorkError: The disk refuses.
        """
        key = f"{self.about} {what}"
        if key not in self.values:
            self.values[key] = measure()
            if self.path is not None:
                write_json(self.path, self.values)
        return self.values[key]


class LayerScorer:
    """Measures the network with some layers on the chip.

    Args:
        selector: The network, each of whose layers is on the chip or electronic.
        samples: Labelled images of a classifier, or None with a score.
        score: What to measure in the place of accuracy.
        seeds: Of the specimens.
        cache: What was measured before.
    """

    def __init__(
        self, selector: LayerSelector, samples: Samples | None, score: Score | None, seeds: range, cache: ScoreCache
    ) -> None:
        self.selector, self.samples, self.score, self.seeds, self.cache = selector, samples, score, seeds, cache

    def scores(self, on_chip: Sequence[str]) -> list[float]:
        """One per specimen; one alone where nothing is on the chip."""
        what = f"{self._seeds(on_chip)} on {digest.of_values(sorted(on_chip))}"
        scores: list[float] = self.cache.get(f"score {what}", lambda: self._scores(on_chip, what))
        return scores

    def distance(self, name: str) -> float | None:
        """How far one layer on the chip moves the outputs, relative to their norm; see `LayerDrop.distance`."""
        if self.samples is None:
            return None
        what = f"{self._seeds((name,))} on {digest.of_values([name])}"
        distance: float = self.cache.get(f"distance {what}", lambda: self._distance(name, what))
        return distance

    def _seeds(self, on_chip: Sequence[str]) -> str:
        return f"{self.seeds.start}+{len(self.seeds)}" if on_chip else "electronic"

    def _scores(self, on_chip: Sequence[str], what: str) -> list[float]:
        model = self.selector.put(on_chip)
        with drawn_from(self.seeds.start, "sensitivity", what):
            if self.score is not None:
                return self._by_function(model, self.score, bool(on_chip))
            assert self.samples is not None  # one of both is there, `sensitivity` has seen to it
            if not on_chip:
                return [accuracy(model, self.samples)]
            shares: list[float] = accuracies(model, self.seeds, self.samples, progress=False).tolist()
            return shares

    @torch.no_grad()
    def _by_function(self, model: nn.Module, score: Score, on_chip: bool) -> list[float]:
        scores = []
        for seed in self.seeds if on_chip else self.seeds[:1]:
            self.selector.install(seed)
            scores.append(float(score(model.eval())))
        return scores

    @torch.no_grad()
    def _distance(self, name: str, what: str) -> float:
        assert self.samples is not None  # `distance` has looked
        numbers = torch.arange(min(_PROBED, len(self.samples)), device=self.samples.inputs.device)
        probes: Tensor = self.samples.inputs[numbers]
        electronic = self.selector.put(())(probes)
        with drawn_from(self.seeds.start, "sensitivity", "distance", what):
            outputs = SpecimenEnsemble(self.selector.put((name,)), self.seeds)(probes)
        apart = (outputs - electronic).flatten(1).norm(dim=1) / electronic.norm().clamp(min=_tiny(electronic))
        return float(apart.mean())


def _tiny(tensor: Tensor) -> float:
    """The smallest normal number of a tensor's type."""
    return torch.finfo(tensor.dtype).tiny
