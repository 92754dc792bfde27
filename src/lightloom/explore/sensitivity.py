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
from lightloom.cost import account, trace
from lightloom.data import Samples
from lightloom.explore import digest
from lightloom.explore.layer_selector import LayerSelector
from lightloom.explore.point import RANGED, first_inputs
from lightloom.explore.scan import Bench, Score, ScoreCache
from lightloom.physics import compiled


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
    """Of the drop, between specimens."""
    distance: float | None
    """||outputs - electronic outputs|| / ||electronic outputs||, mean over specimens: tells layers apart where the
    score does not move. None where a score function is all there is."""
    share: float
    """Of the multiply-adds of the network."""
    energy_share: float
    """Of the energy of all layers on the chip."""


@dataclass(frozen=True)
class Level:
    """The network with several layers on the chip."""

    electronic: list[str]
    """Layers that are not."""
    score: float
    drop: float
    std: float


@dataclass(frozen=True)
class Sensitivity:
    """What a scan found."""

    measure: str
    """`accuracy`, or `score` of a function of the user's."""
    electronic: float
    """Score of the electronic network."""
    budget: float
    specimens: int
    rows: list[LayerDrop]
    """In the order of the model."""
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
    samples: Samples | None = None,
    *,
    score: Score | None = None,
    sample: Any = None,
    specimens: int = 8,
    budget: float = 0.01,
    seed: int = 0,
    skip: Sequence[str] = (),
    calibrated: bool = True,
    state: Path | None = None,
    progress: bool = True,
) -> Sensitivity:
    """Put one layer at a time on the chip, and propose which to leave electronic.

    The network is programmed once; between measurements layers are switched. Layers are left electronic worst first, as
    many as it takes: how many is found by halving, and what is proposed has been measured as a whole.

    Args:
        model: Electronic; it stays as it is.
        chip: The hardware, or the name of a preset.
        samples: Labelled images of a classifier; or None, with `score` and `sample`.
        score: How good any other model is; called once per specimen, with the model in evaluation mode.
        sample: One input [1, ...], where there are no `samples`: for the cost.
        specimens: Manufactured chips per measurement, with the seeds `seed`, `seed + 1`, ...
        budget: Drop of the whole network that is allowed, in the unit of the score, at least 0.
        seed: See `specimens`.
        skip: Names or globs of layers that stay electronic anyway.
        calibrated: Take the static phase bias of meshes as calibrated away.
        state: A file that keeps what is measured, so that a scan that was stopped goes on. Give each score function a
            file of its own.
        progress: Show how far it is.

    Raises:
        RequestError: A number is out of range, there is neither data nor score and sample, or nothing is to be scanned.
    """
    one = sample if samples is None else first_inputs(samples)
    if one is None or (samples is None and score is None):
        raise RequestError("Give labelled `samples`, or a `score` function and one `sample` for the cost.")
    if not budget >= 0 or specimens < 1:  # NaN is none either
        raise RequestError(f"`budget` is {budget} and `specimens` {specimens}; give 0 or more and at least 1.")
    hardware = core_chip(chip).calibrated() if calibrated else core_chip(chip)
    board = LayerSelector(model, hardware, one if samples is None else first_inputs(samples, RANGED), skip)
    shares = _shares(board, one)
    bench = Bench(
        board, samples, score, range(seed, seed + specimens), ScoreCache(state, _about(model, board, samples))
    )
    with follow("sensitivity", len(board.layers) + 2, shown=progress and is_main()) as report:
        electronic = bench.scores(())[0]
        rows = [_row(bench, name, electronic, shares) for name in _told(board.layers, report)]
        whole = _level(bench, list(board.layers), [], electronic)
        report(len(rows) + 1, f"all on the chip: drop {whole.drop:.4g}")
        proposed = _propose(bench, rows, whole, electronic, budget, report)
    measure = "accuracy" if score is None else "score"
    return Sensitivity(measure, electronic, budget, specimens, rows, whole, proposed, shares.assumptions)


def _told(names: Iterable[str], report: Report) -> Iterator[str]:
    for number, name in enumerate(names):
        report(number, name or "root")
        yield name


def _row(bench: Bench, name: str, electronic: float, shares: _Shares) -> LayerDrop:
    found = bench.scores((name,))
    return LayerDrop(
        name=name,
        kind=type(bench.board.layers[name]).__name__,
        score=statistics.fmean(found),
        drop=electronic - statistics.fmean(found),
        std=_spread(found),
        distance=bench.distance(name),
        share=shares.macs[name],
        energy_share=shares.energy[name],
    )


def _propose(
    bench: Bench, rows: Sequence[LayerDrop], whole: Level, electronic: float, budget: float, report: Report
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
        level = _level(bench, names, worst[:middle], electronic)
        report(len(rows) + 1, f"{middle} electronic: drop {level.drop:.4g}")
        if level.drop <= budget:
            good, best = middle, level
        else:
            bad = middle
    report(len(rows) + 2, f"{good} of {len(rows)} stay electronic")
    return best


def _level(bench: Bench, names: Sequence[str], electronic: Sequence[str], reference: float) -> Level:
    found = bench.scores([name for name in names if name not in electronic])
    return Level(list(electronic), statistics.fmean(found), reference - statistics.fmean(found), _spread(found))


class _Shares(NamedTuple):
    """Of each layer."""

    macs: dict[str, float]
    energy: dict[str, float]
    assumptions: list[str]
    """Of the energy."""


def _shares(board: LayerSelector, sample: Any) -> _Shares:
    model = board.put(board.layers)
    sample = sample.to(next(model.parameters()).device) if isinstance(sample, Tensor) else sample
    bill = account(model, sample)
    macs = {
        use.name: float(use.vectors * use.layer.core.rows * use.layer.core.columns * use.layer.core.groups)
        for use in trace(model, sample)
    }
    joules = {layer.name: layer.energy_j for layer in bill.layers}
    return _Shares(_parts(macs, float(bill.electronics.get("macs", 0.0))), _parts(joules, 0.0), list(bill.assumptions))


def _parts(amounts: dict[str, float], rest: float) -> dict[str, float]:
    total = sum(amounts.values()) + rest
    return {name: amount / total if total else 0.0 for name, amount in amounts.items()}


def _about(model: nn.Module, board: LayerSelector, samples: Samples | None) -> str:
    data = "score" if samples is None else digest.of_samples(samples)
    values = [
        digest.VERSION,
        digest.of_model(model),
        data,
        board.chip.model_dump(mode="json"),
        list(board.layers),
        compiled.backend(),
    ]
    return digest.of_values(values)


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _lines(found: Sensitivity) -> list[str]:
    width = max(len("layer"), *(len(row.name) for row in found.rows))
    lines = [f"{'layer':{width}}  {'drop':>9} {'+-':>8} {'distance':>9} {'work':>6} {'energy':>6}  stays"]
    for row in found.rows:
        distance = "" if row.distance is None else f"{row.distance:.4f}"
        stays = "electronic" if row.name in found.proposal else "on the chip"
        lines.append(
            f"{row.name:{width}}  {row.drop:9.4f} {row.std:8.4f} {distance:>9} {row.share:6.1%} {row.energy_share:6.1%}"
            f"  {stays}"
        )
    lines.append(f"{found.measure} {found.electronic:.4f} without a chip, {found.whole.score:.4f} all on the chip")
    kept = len(found.proposal)
    lines.append(
        f"with {kept} of {len(found.rows)} layers electronic {found.proposed.score:.4f}: a drop of "
        f"{found.proposed.drop:.4f} within the budget of {found.budget:g}"
    )
    return lines
