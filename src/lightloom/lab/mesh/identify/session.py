"""A session with an instrument: takes measurements in order, fits them, and says what is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import scipy.stats
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.common.progress import Report
from lightloom.common.seeds import named_generator
from lightloom.lab.mesh.identify.fit import Prior, fit, gamma_std, pack, production, unpack
from lightloom.lab.mesh.identify.measurements import Measurements, Repeatability
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.mesh.twin import DigitalTwin, drive

MIN_NOISE = 1e-7
"""Noise never counts as less: rounding of double precision, with room."""
_HARMLESS = 2.5e-4
_FAR = 2.0
"""Standard deviations over those of the readout from which a misfit speaks against the model."""
_BY_CHANCE = 1e-6
INITIAL_NOISE = 1e-3
"""Noise assumed of the start: it alone cannot tell every gamma, so the production line must have its say."""


class Suspect(NamedTuple):
    """A phase shifter that does not follow its drive."""

    block: int
    mesh: Literal["u", "v"]
    shifter: int
    """Index in phase order."""
    gamma: float
    """Drive coefficient of the device over the nominal one: 0 for a dead heater."""


@dataclass(frozen=True)
class Identified:
    """A chip that is known."""

    twin: DigitalTwin
    """The most likely devices."""
    std: DigitalTwin
    """Standard deviation of each parameter of the twin, in its place."""
    prior: Prior = field(repr=False)
    """What was believed beforehand."""
    readout: float
    """Readout noise as the first measurements show it without any model."""
    noise: float
    """What the twin leaves unexplained of one value in most blocks, relative to full scale; at least 1e-7."""
    chi2: Tensor
    """[blocks], mean square of (measured - twin) / readout: near 1 where the twin explains everything."""
    suspects: tuple[Suspect, ...]
    """Devices to look at."""
    measurements: Measurements = field(repr=False)
    """Every measurement; pass it on to fit more to it."""
    repeatability: Repeatability | None = None
    """Readout noise as repeated measurements show it; None where there are none."""

    @property
    def calls(self) -> int:
        """Calls that it took, those of an earlier session with the same measurements included."""
        return len(self.measurements)

    @property
    def phase_std(self) -> float:
        """Typical uncertainty in rad of a realised phase at the ends of the drive's range, where it is largest."""
        spread = torch.cat([self.std.u_gamma, self.std.v_gamma])
        return math.pi * float(spread.square().mean().sqrt())

    @property
    def misfit(self) -> Tensor:
        """[blocks], what the twin leaves unexplained over the noise of repeated measurements; NaN where unknown.

        Near 1 where the chip is of its design. Noise counts as 2.5e-4 of full scale at least: what is below turns a
        phase by less than a thousandth of a rad.
        """
        if self.repeatability is None:
            return torch.full_like(self.chi2, math.nan)
        return self.chi2.sqrt() * self.readout / max(self.repeatability.std, _HARMLESS)

    @property
    def caveat(self) -> str | None:
        """Why what is said of this chip does not hold, in a sentence or two; None where nothing speaks against it."""
        if self.repeatability is None:
            return None
        # the noise itself is known from few values: one that came out low by chance must not be held against the chip
        least = float(scipy.stats.chi2.isf(1 - _BY_CHANCE, self.repeatability.freedom)) / self.repeatability.freedom
        bad = ~(self.misfit <= max(_FAR, least**-0.5))
        if not bad.any():
            return None
        worst = float(self.misfit.nan_to_num(math.inf).max())
        return (
            f"The chip is not as designed: in {int(bad.sum())} of {len(bad)} blocks the fit leaves up to {worst:.3g} "
            f"times what repeated measurements show as readout noise, {self.repeatability.std:.2g} of full scale. The "
            f"claim of phases known to {self.phase_std:.2g} rad does not hold there. Check couplers, detectors that "
            "saturate, drift, and the design."
        )


class Session:
    """Takes measurements one after another; those that the measurements hold already are not repeated."""

    def __init__(self, instrument: Instrument, measurements: Measurements, seed: int, report: Report) -> None:
        self.instrument, self.seed, self.report = instrument, seed, report
        self.measurements = measurements
        self.taken = 0
        self.readout = MIN_NOISE
        self.prior = production(instrument.chip, instrument.blocks)
        self.mirrored: DigitalTwin | None = None
        self.repeatability: Repeatability | None = None
        """Repeatability from before, for a session that measures nothing twice; None where nobody knows it."""

    def take(self, settings: BlockSettings) -> Tensor:
        """What the chip makes of `settings`."""
        index = self.taken
        self.taken += 1
        if index < len(self.measurements):
            same = (torch.equal(a, b) for a, b in zip(self.measurements.settings[index], settings, strict=True))
            if not all(same):
                raise RequestError(
                    f"Measurement {index} of the measurements was made at other settings: they belong to another chip "
                    "design or seed. Give the seed of that session, or start with no measurements."
                )
            return self.measurements.outputs[index]
        measured = self.measurements.measure(self.instrument, settings)
        self.report(self.taken, "calls")
        return measured

    def random(self) -> BlockSettings:
        """Settings drawn uniformly, by the number of the measurement."""
        instrument = self.instrument
        generator = named_generator(self.seed, "identify", self.taken)

        def uniform(count: int, span: float) -> Tensor:
            return span * torch.rand(instrument.blocks, count, generator=generator, dtype=torch.float64)

        turn = 2 * math.pi
        u, v = (drive(uniform(instrument.shifters, turn), instrument.chip) for _ in range(2))
        return BlockSettings(
            u.clamp(max=turn * (1 - 1e-12)), v.clamp(max=turn * (1 - 1e-12)), uniform(instrument.size, math.pi).cos()
        )

    def fit(self, twin: DigitalTwin, noise: float) -> Identified:
        """Fit to all measurements as if they had this noise.

        Args:
            twin: Where the fit starts.
            noise: Standard deviation of one measured value, relative to full scale.
        """
        measurements = self.measurements.first(self.taken)
        fitted = fit(twin, measurements, noise, self.prior)
        values = len(measurements) * self.instrument.size**2
        freedom = max(1 - 4 * self.instrument.shifters / values, 0.2)
        unexplained = fitted.residual / math.sqrt(freedom)
        return Identified(
            twin=fitted.twin,
            std=fitted.std,
            prior=self.prior,
            readout=self.readout,
            noise=max(float(unexplained.median()), MIN_NOISE),
            chi2=(unexplained / self.readout).square(),
            suspects=_suspects(fitted.twin, fitted.std),
            measurements=measurements,
            repeatability=measurements.repeatability() or self.repeatability,
        )

    def repeat(self, identified: Identified) -> Identified:
        """Measure the last settings once more: what differs is noise, whatever the chip is. It is not fitted."""
        self.take(self.measurements.settings[self.taken - 1])
        measurements = self.measurements.first(self.taken)
        return replace(identified, measurements=measurements, repeatability=measurements.repeatability())

    def settle(self, identified: Identified) -> Identified:
        """Try the mirrored start too where a device stands still, and keep of each block what explains more."""
        if self.mirrored is None:
            return identified
        noise = max(identified.noise, self.readout, INITIAL_NOISE)
        other = self.fit(self.mirrored, noise)
        nearer = (other.chi2 < identified.chi2).unsqueeze(-1)
        best = unpack(torch.where(nearer, pack(other.twin), pack(identified.twin)), self.instrument.chip)
        return self.fit_noise(best, noise)

    def fit_noise(self, twin: DigitalTwin, noise: float) -> Identified:
        """Fit to all measurements, and again with the noise that they show.

        Args:
            twin: Where the fit starts.
            noise: Standard deviation of one measured value to begin with, relative to full scale.
        """
        fitted = self.fit(twin, noise)
        for _ in range(2):
            if 0.8 < fitted.noise / noise < 1.25:
                break
            noise = fitted.noise
            fitted = self.fit(fitted.twin, noise)
        return fitted


def _suspects(twin: DigitalTwin, std: DigitalTwin) -> tuple[Suspect, ...]:
    """Shifters whose drive coefficient is further from nominal than the production line and the fit allow."""
    width = gamma_std(twin.chip)
    named: list[Suspect] = []
    meshes: tuple[tuple[Literal["u", "v"], Tensor, Tensor], ...] = (
        ("u", twin.u_gamma, std.u_gamma),
        ("v", twin.v_gamma, std.v_gamma),
    )
    for name, gamma, spread in meshes:
        far = (gamma - 1).abs() > 0.03 + 3 * width + 3 * spread
        named += [Suspect(block, name, index, float(gamma[block, index])) for block, index in far.nonzero().tolist()]
    return tuple(named)
