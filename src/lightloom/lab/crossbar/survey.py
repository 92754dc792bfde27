"""Find the cells of a crossbar that no longer switch, and how strongly each of the others absorbs.

Every pair is measured in four states, written as crystallised steps (positive, negative):

    dark (L, L)    middle (m, m)    bright negative (m, 0)    bright (0, 0)

On the way from dark to bright every cell is only amorphised, once through its levels: the survey wears a cell by L
levels and no order of these states takes fewer. Between the last two, the positive cell alone moves, between the
middle two the negative one alone. A cell that is stuck does not move, whatever its level, also where it is one of those
that were asked for; a cell that absorbs far too little or too much moves by another amount than expected, yet it moves.
m is the level that shows the absorption a best: t^a changes most with a near t = 1 / e.

Light enters as rows of a Hadamard matrix, half of the slots at once, so the noise of the receiver falls by
about sqrt(k / 5) at the same number of calls (Harwit and Sloane, "Hadamard Transform Optics", 1979).
"""

from __future__ import annotations

import math

import torch
from scipy.linalg import hadamard
from torch import Tensor

from lightloom.chips.pcm import HEALTHY
from lightloom.common.errors import RequestError, WorkError
from lightloom.common.progress import Report
from lightloom.lab.crossbar.instrument import CrossbarInstrument
from lightloom.lab.crossbar.surveyed import Surveyed, Suspect
from lightloom.lab.readings import checked

_STATES = ("dark", "middle", "bright negative", "bright")
_FEWEST = len(_STATES) + 1  # the first is read twice, which shows the noise

_CERTAIN = 6.0
"""Standard deviations between cells that switch and cells that do not: a false verdict in 10^9."""

_HARMLESS = 1e-4
"""Residual, of full scale, below which no level moves."""
_ROUNDS = 12  # of Gauss-Newton; from 1 an absorption between 0.3 and 3 is found to rounding in eight
_SUSPECTS = 20
_LEAST, _MOST = 0.02, 20.0  # absorption that is still believed


def survey(
    instrument: CrossbarInstrument,
    *,
    accuracy: float = 0.01,
    budget: int = 256,
    report: Report = lambda done, text: None,
) -> Surveyed:
    """Measure every pair of cells in four states, as often as the noise asks for.

    Args:
        instrument: The chip. It is left at its brightest, which an erasure undoes.
        accuracy: Standard error of a cell's absorption to reach by repeated reading. The error of a write is not
            averaged out: that would take more writes.
        budget: Calls to spend at most; accuracy gives way to it, the verdict on stuck cells does not.
        report: Told of calls done.

    Raises:
        RequestError: The accuracy is not above 0, or the budget is below 5.
        WorkError: The budget does not suffice to tell stuck cells from others, no cell of an array shows any light, or
            what came back is not finite.
    """
    if not accuracy > 0 or budget < _FEWEST:
        raise RequestError(
            f"accuracy {accuracy:g} with {budget} calls; accuracy is above 0, and a survey takes {_FEWEST} or more"
        )
    return _Survey(instrument, report).run(accuracy, budget)


def patterns(size: int) -> Tensor:
    """Inputs [k, k], each 0 or 1, from which a matrix is found with the least noise: one vector a column.

    Slots are cut into runs of a power of two. In a run, (1 + H) / 2 with H of Hadamard lights half of them at once.
    Signs of Rudin and Shapiro on the vectors keep any slot from being lit always, which would leave it to differences:
    their transform is flat, so all slots share the noise, in a long run sqrt(5 / run) to sqrt(6 / run) of a reading's.
    """
    masks, first = torch.zeros(size, size, dtype=torch.float64), 0
    while first < size:
        run = 1 << ((size - first).bit_length() - 1)
        signs = torch.tensor([1 - 2 * ((i & i >> 1).bit_count() % 2) for i in range(run)])
        masks[first : first + run, first : first + run] = (1 + torch.from_numpy(hadamard(run)) * signs) / 2
        first += run
    return masks


class _Survey:
    """One survey: the plan, the readings, and what follows from them."""

    def __init__(self, instrument: CrossbarInstrument, report: Report) -> None:
        self.instrument, self.report = instrument, report
        self.calls, self.writes = instrument.calls, instrument.writes.clone()
        self.table = instrument.chip.table()
        self.full_scale = float(self.table[0] - self.table[-1])
        slopes = self.table * self.table.log()  # of t^a over a, at a = 1
        self.middle = 1 + int((slopes[1:] - slopes[0]).abs().argmax())
        self.swing = float(self.table[0] - self.table[self.middle]) / self.full_scale
        self.slope = float((slopes[self.middle] - slopes[0]).abs()) / self.full_scale
        self.inputs = patterns(instrument.size)
        self.solve = torch.linalg.inv(self.inputs)
        self.spread = self.solve.norm(dim=0)  # [k] noise of a slot's weights over that of a reading
        last = len(self.table) - 1
        self.plan = torch.tensor([[last, last], [self.middle, self.middle], [self.middle, 0], [0, 0]])

    def run(self, accuracy: float, budget: int) -> Surveyed:
        self._program(0)
        first, second = self._read(), self._read()
        readout = float((first - second).square().mean().sqrt()) / math.sqrt(2)
        times = self._times(readout, accuracy, budget)
        outputs = [torch.stack([first, second, *(self._read() for _ in range(times - 2))]).mean(0)]
        for state in range(1, len(_STATES)):
            self._program(state)
            outputs.append(torch.stack([self._read() for _ in range(times)]).mean(0))
        weights = torch.stack(outputs) @ self.solve
        faulty = self._judge(weights, readout / math.sqrt(times) * self.spread)
        self._check_light(faulty)
        values, left, std = self._fit(weights, faulty)
        noise = readout / math.sqrt(times) * self.spread
        absorption, stuck = self._describe(values, faulty)
        return Surveyed(
            absorption=absorption,
            stuck=stuck,
            absorption_std=std,
            readout=readout,
            suspects=self._suspects(left, noise),
            misfit=self._misfit(left, faulty, noise),
            calls=self.instrument.calls - self.calls,
            writes=self.instrument.writes - self.writes,
        )

    def _program(self, state: int) -> None:
        steps = self.plan[state].to(torch.int8).view(1, 2, 1, 1)
        self.instrument.program(steps.expand(self.instrument.cells).contiguous())

    def _read(self) -> Tensor:
        outputs = self.instrument.measure(self.inputs)
        outputs = checked(
            outputs, (self.instrument.arrays, self.instrument.size, self.instrument.size), is_complex=False
        )
        self.report(self.instrument.calls - self.calls, "calls")
        return outputs

    def _times(self, readout: float, accuracy: float, budget: int) -> int:
        """Readings of each state."""
        noise = math.sqrt(2) * readout * float(self.spread.max())
        least = (noise * _CERTAIN / (self.swing / 2)) ** 2
        affordable = (budget - 1) // len(_STATES)
        if least > affordable:
            raise WorkError(
                f"The noise of a reading, {readout:.3g} of full scale, takes {len(_STATES) * math.ceil(least)} calls "
                f"to tell stuck cells from others; the budget is {budget}. Raise `budget`, or read more quietly."
            )
        repeats = (noise / (self.slope * accuracy)) ** 2
        return max(1, min(affordable, math.ceil(max(least, repeats))))

    def _judge(self, weights: Tensor, noise: Tensor) -> Tensor:
        """Which cells do not switch, bool [A, 2, k, k]: those whose swing is nothing but noise."""
        _, middle, negative, bright = weights
        swings = torch.stack([bright - negative, middle - negative], 1)
        limit = (_CERTAIN * math.sqrt(2) * noise).clamp(min=self.swing / 100, max=self.swing / 2)
        return swings.abs() < limit

    def _check_light(self, stuck: Tensor) -> None:
        """Refuse arrays of which no cell moves at all: that is no wear."""
        dark = stuck.flatten(1).all(1).nonzero().flatten().tolist()
        if dark and self.instrument.size > 1:
            raise WorkError(
                f"No cell of {len(dark)} of {len(stuck)} arrays ({', '.join(map(str, dark[:8]))}) shows that it "
                "switches: check the laser, the detectors and the scale of what they show; the largest weight reads 1."
            )

    def _misfit(self, left: Tensor, stuck: Tensor, noise: Tensor) -> float:
        """What pairs that switch leave, [A, k, k], over what is expected of them; a fifth of them leave more."""
        switching = ~stuck.any(1)
        if not switching.any():
            return 0.0
        expected = noise.square() + 2 * self.instrument.chip.programming_std**2 + _HARMLESS**2
        # two of four states are left to judge by: chi-squared of two degrees of freedom, a fifth above 2 ln 5
        shares = (len(_STATES) * left.square() / expected)[switching]
        return math.sqrt(float(shares.quantile(0.8)) / (2 * math.log(5)))

    def _fit(self, weights: Tensor, stuck: Tensor) -> tuple[Tensor, Tensor, float]:
        """Least squares by Gauss-Newton, all pairs side by side.

        Returns:
            [A, 2, k, k] absorption, or of stuck cells transmission; [A, k, k] root mean square of what is left over, in
            units of full scale; and the standard error of an absorption.
        """
        measured = weights.movedim(0, -1) * self.full_scale  # [A, k, k, states]
        values = self._start(measured, stuck)
        for _ in range(_ROUNDS):
            left, slopes = self._linearise(measured, values, stuck)
            normal = slopes @ slopes.mT + 1e-9 * torch.eye(2, dtype=torch.float64)
            step = torch.linalg.solve(normal, slopes @ left.unsqueeze(-1)).squeeze(-1).movedim(-1, 1)
            top = torch.where(stuck, 1.0, _MOST)
            values = (values + step.clamp(-0.5, 0.5)).clamp(min=_LEAST).minimum(top)
        left, slopes = self._linearise(measured, values, stuck)
        squares = left.square().sum(-1)
        switching = ~stuck.any(1)
        if not switching.any():
            return values, (squares / len(_STATES)).sqrt() / self.full_scale, 0.0
        # two values from four states: chi-squared of two degrees of freedom, median 2 ln 2
        variance = squares[switching].median() / (2 * math.log(2))
        normal = slopes @ slopes.mT + 1e-9 * torch.eye(2, dtype=torch.float64)
        variances = variance * torch.linalg.inv(normal).diagonal(dim1=-2, dim2=-1).movedim(-1, 1)
        values = torch.where(stuck, values, _shrink(values, variances, ~stuck))
        std = float(variances[~stuck].median().sqrt())
        return values, (squares / len(_STATES)).sqrt() / self.full_scale, std

    def _start(self, measured: Tensor, stuck: Tensor) -> Tensor:
        """Nominal absorption; of a stuck cell the transmission that it shows against a nominal one.

        Where both are stuck, of all transmissions with the right difference those nearest to the dark.
        """
        middle = measured[..., 1]
        positive = torch.where(stuck[:, 1], self.table[-1] + middle.clamp(min=0), self.table[self.middle] + middle)
        negative = torch.where(stuck[:, 0], self.table[-1] - middle.clamp(max=0), self.table[self.middle] - middle)
        transmissions = torch.stack([positive, negative], 1).clamp(_LEAST, 1)
        return torch.where(stuck, transmissions, 1.0)

    def _linearise(self, measured: Tensor, values: Tensor, stuck: Tensor) -> tuple[Tensor, Tensor]:
        """What the values leave over, [A, k, k, states], and the slopes [A, k, k, 2, states] of the prediction."""
        nominal = self.table[self.plan.T]  # [2, states]
        shape = (1, 2, 1, 1, len(_STATES))
        base, fixed = nominal.view(shape), stuck.unsqueeze(-1)
        powers = base ** values.unsqueeze(-1)
        basis = torch.where(fixed, values.unsqueeze(-1), powers)
        slopes = torch.where(fixed, 1.0, powers * base.log())
        left = measured - (basis[:, 0] - basis[:, 1])
        return left, torch.stack([slopes[:, 0], -slopes[:, 1]], -2)

    def _describe(self, values: Tensor, faulty: Tensor) -> tuple[Tensor, Tensor]:
        """Absorption and stuck level of each cell."""
        away = (values.unsqueeze(-1) - self.table).abs()
        nearest = away.argmin(-1)
        logs = self.table.log()[nearest]
        ratio = torch.where(logs < 0, values.log() / logs.clamp(max=-1e-12), 1.0)
        stuck = torch.where(faulty, nearest.to(torch.int8), HEALTHY)
        return torch.where(faulty, ratio.clamp(_LEAST, _MOST), values), stuck

    def _suspects(self, left: Tensor, noise: Tensor) -> tuple[Suspect, ...]:
        """Pairs that leave much more than the noise and the others do."""
        limit = _CERTAIN * torch.maximum(noise, left.median()) + 1e-6
        worst = torch.where(left > limit, left, 0).flatten().topk(min(_SUSPECTS, left.numel()))
        size = self.instrument.size
        return tuple(
            Suspect(place // size**2, place // size % size, place % size, misfit)
            for misfit, place in zip(worst.values.tolist(), worst.indices.tolist(), strict=True)
            if misfit > 0
        )


def _shrink(values: Tensor, variances: Tensor, chosen: Tensor) -> Tensor:
    """Values drawn towards their median by what noise has spread them; outliers are left as they are."""
    middle = values[chosen].median()
    variance = (1.4826 * (values[chosen] - middle).abs().median()).square()
    spread = (variance - variances[chosen].median()).clamp(min=0)
    share = spread / (spread + variances).clamp(min=1e-30)
    ordinary = (values - middle).square() < 25 * (spread + variances)
    return torch.where(ordinary, middle + share * (values - middle), values)
