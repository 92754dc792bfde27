"""Which layers suffer on a chip: one at a time, and a proposal of what to leave electronic."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.chips.arguments import core_chip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.processes import is_main
from lightloom.common.progress import Report, follow
from lightloom.common.text_table import text_table
from lightloom.cost import estimate, trace
from lightloom.data import Samples
from lightloom.explore import digest
from lightloom.explore.config import SensitivityConfig
from lightloom.explore.layer_selector import LayerSelector
from lightloom.explore.point import RANGED, first_inputs
from lightloom.explore.scan import LayerScorer, Score, ScoreCache
from lightloom.physics import compiled


class CustomScore(NamedTuple):
    """How good a model that is no classifier of images is."""

    function: Score
    """Called once per specimen with the model in evaluation mode; more is better."""
    sample: Any
    """One input [1, ...], for the cost and for static ranges of converters."""


@dataclass(frozen=True)
class LayerDrop:
    """What one layer alone on the chip does to the network."""

    name: str
    kind: str
    score: float
    """Mean over the specimens."""
    drop: float
    """Score of the electronic network less `score`; below 0 where the chip helps."""
    std: float
    """Standard deviation of the drop between specimens."""
    distance: float | None
    """||outputs - electronic outputs|| / ||electronic outputs||, mean over specimens: tells layers apart where the
    score does not move. None where a score function is all there is."""
    share: float
    """Share of the multiply-adds of the network."""
    energy_share: float
    """Share of the energy of all layers on the chip."""


@dataclass(frozen=True)
class Level:
    """The network with several layers on the chip."""

    electronic: list[str]
    """Names of the layers that are not on the chip."""
    score: float
    drop: float
    std: float


@dataclass(frozen=True)
class Sensitivity:
    """The result of a scan over the layers of a network."""

    measure: str
    """`accuracy`, or `score` of a function of the user's."""
    electronic: float
    """Score of the electronic network."""
    budget: float
    specimens: int
    rows: list[LayerDrop]
    """One row per layer, in the order of the model."""
    whole: Level
    """Every layer on the chip."""
    proposed: Level
    """The fewest of the worst layers left electronic with which the measured drop is within the budget."""
    assumptions: list[str]

    @property
    def proposal(self) -> list[str]:
        """Names for `skip` or `electronic`."""
        return self.proposed.electronic

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `sensitivity.json`."""
        return {**dataclasses.asdict(self), "proposal": self.proposal}

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@checked
def sensitivity(
    model: nn.Module,
    chip: Chip | str,
    samples: Samples | CustomScore,
    config: SensitivityConfig | None = None,
    *,
    state: Path | None = None,
    progress: bool = True,
) -> Sensitivity:
    """Put one layer at a time on the chip, and propose which to leave electronic.

    The network is programmed once; between measurements layers are switched. Layers are left electronic worst first, as
    many as it takes: how many is found by halving, and what is proposed has been measured as a whole.

    Args:
        model: Electronic; it stays as it is.
        chip: The hardware, or the name of a preset.
        samples: Labelled images of a classifier; or, of any other model, a function that says how good it is.
        config: Specimens, budget and layers to skip; None takes the defaults.
        state: A file that keeps what is measured, so that a scan that was stopped goes on. Give each score function a
            file of its own.
        progress: Show how far it is.

    Raises:
        RequestError: Nothing is to be scanned, or the file of the state is another one.
    """
    config = SensitivityConfig() if config is None else config
    if samples is None:
        raise RequestError("Give labelled `samples`, or a `CustomScore` of any other model.")
    if isinstance(samples, CustomScore):
        images, score, sample, inputs = None, samples.function, samples.sample, samples.sample
    else:
        images, score, sample, inputs = samples, None, first_inputs(samples), first_inputs(samples, RANGED)
    hardware = core_chip(chip)
    selector = LayerSelector(model, hardware.calibrated() if config.calibrated else hardware, inputs, config.skip)
    shares = _shares(selector, sample)
    seeds = range(config.seed, config.seed + config.specimens)
    cache = ScoreCache(state, _about(model, selector, images))
    scorer = LayerScorer(selector, images, score, seeds, cache)
    with follow("sensitivity", len(selector.layers) + 2, shown=progress and is_main()) as report:
        electronic = scorer.scores(())[0]
        rows = [_row(scorer, name, electronic, shares) for name in _reported(selector.layers, report)]
        whole = _level(scorer, list(selector.layers), [], electronic)
        report(len(rows) + 1, f"all on the chip: drop {whole.drop:.4g}")
        proposed = _propose(scorer, rows, whole, electronic, config.budget, report)
    return Sensitivity(
        measure="accuracy" if score is None else "score",
        electronic=electronic,
        budget=config.budget,
        specimens=config.specimens,
        rows=rows,
        whole=whole,
        proposed=proposed,
        assumptions=shares.assumptions,
    )


def _reported(names: Iterable[str], report: Report) -> Iterator[str]:
    for number, name in enumerate(names):
        report(number, name or "root")
        yield name


def _row(scorer: LayerScorer, name: str, electronic: float, shares: _Shares) -> LayerDrop:
    scores = scorer.scores((name,))
    return LayerDrop(
        name=name,
        kind=type(scorer.selector.layers[name]).__name__,
        score=statistics.fmean(scores),
        drop=electronic - statistics.fmean(scores),
        std=_spread(scores),
        distance=scorer.distance(name),
        share=shares.macs[name],
        energy_share=shares.energy[name],
    )


def _propose(
    scorer: LayerScorer, rows: Sequence[LayerDrop], whole: Level, electronic: float, budget: float, report: Report
) -> Level:
    """Halve between all layers on the chip and none, worst first; the one kept has been measured to be good."""
    if whole.drop <= budget:
        report(len(rows) + 2, "nothing needs to stay electronic")
        return whole
    order = sorted(rows, key=lambda row: (row.drop, row.distance or 0.0), reverse=True)
    names, worst = [row.name for row in rows], [row.name for row in order]
    bad, good, best = 0, len(worst), Level(worst, electronic, 0.0, 0.0)
    while good - bad > 1:
        middle = (bad + good) // 2
        level = _level(scorer, names, worst[:middle], electronic)
        report(len(rows) + 1, f"{middle} electronic: drop {level.drop:.4g}")
        if level.drop <= budget:
            good, best = middle, level
        else:
            bad = middle
    report(len(rows) + 2, f"{good} of {len(rows)} stay electronic")
    return best


def _level(scorer: LayerScorer, names: Sequence[str], electronic: Sequence[str], reference: float) -> Level:
    scores = scorer.scores([name for name in names if name not in electronic])
    return Level(list(electronic), statistics.fmean(scores), reference - statistics.fmean(scores), _spread(scores))


class _Shares(NamedTuple):
    """What each layer takes of the work and the energy, 0 to 1."""

    macs: dict[str, float]
    energy: dict[str, float]
    assumptions: list[str]
    """What the energy is based on."""


def _shares(selector: LayerSelector, sample: Any) -> _Shares:
    model = selector.put(selector.layers)
    sample = sample.to(next(model.parameters()).device) if isinstance(sample, Tensor) else sample
    bill = estimate(model, sample)
    macs = {
        use.name: float(use.vectors * use.layer.core.rows * use.layer.core.columns * use.layer.core.groups)
        for use in trace(model, sample)
    }
    joules = {layer.name: layer.energy_j for layer in bill.layers}
    return _Shares(_parts(macs, float(bill.electronics.get("macs", 0.0))), _parts(joules, 0.0), list(bill.assumptions))


def _parts(amounts: dict[str, float], rest: float) -> dict[str, float]:
    total = sum(amounts.values()) + rest
    return {name: amount / total if total else 0.0 for name, amount in amounts.items()}


def _about(model: nn.Module, selector: LayerSelector, samples: Samples | None) -> str:
    data = "score" if samples is None else digest.of_samples(samples)
    values = [
        digest.VERSION,
        digest.of_model(model),
        data,
        selector.chip.model_dump(mode="json"),
        list(selector.layers),
        compiled.backend(),
    ]
    return digest.of_values(values)


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _lines(scan: Sensitivity) -> list[str]:
    rows = [
        (
            row.name,
            f"{row.drop:.4f}",
            f"{row.std:.4f}",
            "" if row.distance is None else f"{row.distance:.4f}",
            f"{row.share:.1%}",
            f"{row.energy_share:.1%}",
            "electronic" if row.name in scan.proposal else "on the chip",
        )
        for row in scan.rows
    ]
    return [
        *text_table(("layer", "drop", "+-", "distance", "work", "energy", "stays"), rows, right=range(1, 6)),
        f"{scan.measure} {scan.electronic:.4f} without a chip, {scan.whole.score:.4f} all on the chip",
        f"with {len(scan.proposal)} of {len(scan.rows)} layers electronic {scan.proposed.score:.4f}: a drop of "
        f"{scan.proposed.drop:.4f} within the budget of {scan.budget:g}",
    ]
