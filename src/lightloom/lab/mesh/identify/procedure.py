"""Identify a chip: measure, fit, and stop when every phase is known well enough."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.progress import Report
from lightloom.lab.mesh.identify.column_scan import readout_noise, start, start_settings, told_apart
from lightloom.lab.mesh.identify.fit import Prior, pack, production
from lightloom.lab.mesh.identify.measurements import Measurements
from lightloom.lab.mesh.identify.session import INITIAL_NOISE, MIN_NOISE, Identified, Session
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.mesh.readings import check_light
from lightloom.lab.mesh.twin import DigitalTwin
from lightloom.physics.mesh import UNIVERSAL_LAYOUTS

_BATCH = 4
"""Random settings between fits, at first; fewer tell gammas from biases too weakly."""
_ROUNDS = 3
"""The start is measured at most this often: where noise hid a plane, the mean of two or three shows it."""


def identify(
    instrument: Instrument,
    *,
    accuracy: float = 0.005,
    budget: int | None = None,
    seed: int = 0,
    measurements: Measurements | None = None,
    report: Report = lambda done, text: None,
) -> Identified:
    """Find every device's bias, drive coefficient and the crosstalk, all blocks side by side.

    First every column is turned once (`column_scan`), which needs 2 k + 2 calls and shows all biases; from k = 18 on it
    needs about twice that where the readout noise is 0.2 % or more. Then random settings show the drive coefficients,
    and everything measured is fitted together. The last settings are measured twice: where the fit leaves far more than
    this shows as noise, the chip is not of its design, and `Identified.caveat` says so.

    Args:
        instrument: The chip; real meshes of a universal layout.
        accuracy: Measure until phases are known to this, in rad.
        budget: At most this many calls; None is 4 calls per waveguide and another 256.
        seed: Of the random settings.
        measurements: Those of an earlier session that broke off, with the same seed; new ones are added to them, so
            that whoever catches an error of the instrument still holds everything measured.
        report: Told of calls done.

    Raises:
        RequestError: The chip's meshes are complex or not universal, or the budget is below what the start needs.
        WorkError: The measurements fit no chip of this design, or hardly any light arrives.
    """
    session = Session(instrument, Measurements() if measurements is None else measurements, seed, report)
    instrument.skip(
        max(len(session.measurements) - instrument.calls, 0)
    )  # what another session measured has had its noise
    chip = _supported(instrument).chip
    first = start_settings(chip, instrument.blocks)[0]
    rest = session.take(first)
    check_light(chip, rest, first.sigma)
    at_once = told_apart(readout_noise(chip, rest.unsqueeze(0)))
    programs = start_settings(chip, instrument.blocks, at_once)
    budget = 4 * instrument.size + 256 if budget is None else budget
    least = len(programs) + _BATCH + 1
    if budget < least:
        raise RequestError(
            f"A budget of {budget} calls is too small: blocks of {instrument.size} waveguides need at least {least}. "
            f"Give `budget={least}` or more."
        )
    budget -= 1  # for the repetition
    session.taken = 0  # the first program is the one just measured
    identified = _begin(session, programs, at_once, budget)
    while (more := _wanted(identified, len(programs), accuracy, budget)) > 0:
        for _ in range(more):
            session.take(session.random())
        identified = session.settle(session.fit_noise(identified.twin, identified.noise))
    return session.repeat(identified)


def recalibrate(
    instrument: Instrument, identified: Identified, *, calls: int = 6, drift: float = 0.1, seed: int = 1
) -> Identified:
    """Know a chip again after its biases have drifted, from a handful of calls.

    Args:
        instrument: The chip.
        identified: What was known of it.
        calls: Random settings to measure.
        drift: How far a bias may have moved, standard deviation in rad.
        seed: Of the settings.
    """
    session = Session(instrument, Measurements(), seed, lambda done, text: None)
    for _ in range(calls):
        settings = session.random()
        check_light(instrument.chip, session.take(settings), settings.sigma)
    mean, spread = pack(identified.twin), pack(identified.std)
    shifters = identified.twin.u_bias.shape[-1]
    spread[:, : 2 * shifters] += drift
    session.readout, session.repeatability = identified.readout, identified.repeatability
    session.prior = Prior(mean, spread.clamp_min(1e-6).square().reciprocal())
    return session.fit_noise(identified.twin, identified.noise)


def refine(instrument: Instrument, identified: Identified, settings: BlockSettings) -> Identified:
    """Look at the chip at `settings`, one call, and fit that with everything measured before.

    Args:
        instrument: The chip.
        identified: What was known of it; its measurements are left as they are.
        settings: Where to look.
    """
    session = Session(instrument, identified.measurements.first(identified.calls), 0, lambda done, text: None)
    session.taken = len(session.measurements)
    check_light(instrument.chip, session.take(settings), settings.sigma)
    session.readout, session.prior, session.repeatability = (
        identified.readout,
        identified.prior,
        identified.repeatability,
    )
    return session.fit(identified.twin, identified.noise)


def _supported(instrument: Instrument) -> Instrument:
    chip = instrument.chip
    if chip.field != "real" or chip.layout not in UNIVERSAL_LAYOUTS:
        raise RequestError(
            f"Identification reads real meshes of a universal layout ({', '.join(UNIVERSAL_LAYOUTS)}); this chip has "
            f"{chip.field} {chip.layout} meshes. Calibrate it by zeroth-order search instead."
        )
    return instrument


def _begin(session: Session, programs: list[BlockSettings], at_once: int, budget: int) -> Identified:
    """Take the start, again where its readings were too noisy for some block, and fit it."""
    chip = session.instrument.chip
    rounds: list[Tensor] = []
    while True:
        rounds.append(torch.stack([session.take(program) for program in programs]))
        session.readout = max(readout_noise(chip, rounds[0]), MIN_NOISE)
        mean = torch.stack(rounds).mean(0)
        twin = start(chip, mean, at_once=at_once)
        session.prior = _beliefs(twin)
        identified = session.fit(twin, max(session.readout, INITIAL_NOISE))
        session.mirrored = start(chip, mean, at_once=at_once, mirrored=True) if identified.suspects else None
        identified = session.settle(identified)
        bad = ~(identified.chi2 <= (1.5 + 5 * INITIAL_NOISE / session.readout) ** 2)  # NaN is bad as well
        if not bad.any() or len(rounds) == _ROUNDS or session.taken + len(programs) + _BATCH > budget:
            break
    if bad.float().mean() > 0.5:
        raise WorkError(
            f"{int(bad.sum())} of {len(bad)} blocks fit no chip of this design: {chip.layout} of {chip.block_size} "
            "waveguides. Check that the instrument's size, layout and drive are those of its design."
        )
    return identified


def _beliefs(twin: DigitalTwin) -> Prior:
    """Beliefs of the production line, but for devices that the start has shown to be faulty."""
    mean, weight = production(twin.chip, twin.blocks)
    begun = pack(twin)
    shifters = twin.u_bias.shape[-1]
    faulty = torch.zeros_like(mean, dtype=torch.bool)
    faulty[:, 2 * shifters : 4 * shifters] = begun[:, 2 * shifters : 4 * shifters] != 1
    return Prior(torch.where(faulty, begun, mean), torch.where(faulty, 0.05**-2, weight))


def _wanted(identified: Identified, start_calls: int, accuracy: float, budget: int) -> int:
    """How many more random settings to measure: errors fall with the square root of their number."""
    so_far = identified.calls - start_calls
    left = budget - identified.calls
    if so_far < _BATCH:
        return min(_BATCH, left)
    if identified.phase_std <= accuracy:
        return 0
    more = math.ceil(so_far * (identified.phase_std / accuracy) ** 2) - so_far
    return min(max(more, 1), 2 * so_far, left)
