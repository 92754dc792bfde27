"""Crossbars of phase-change cells on the bench: find the cells that have failed, and work around them.

>>> benches = instruments_for(model, InstrumentedCrossbar, readout_std=0.01)  # a model installed on an aged specimen
>>> for bench in benches:
...     surveyed = survey(bench.instrument)  # a few calls, and one sweep of each cell through its levels
...     bench.store(bench.remap(surveyed))  # other rows, other levels
"""

from lightloom.lab.crossbar.aging import age, wear_rates
from lightloom.lab.crossbar.instrument import CrossbarInstrument, SimulatedCrossbar
from lightloom.lab.crossbar.network import InstrumentedCrossbar, store
from lightloom.lab.crossbar.remap import Remapped, remap
from lightloom.lab.crossbar.survey import survey
from lightloom.lab.crossbar.surveyed import Surveyed, Suspect
from lightloom.lab.instrumented import instruments_for

__all__ = [
    "CrossbarInstrument",
    "InstrumentedCrossbar",
    "Remapped",
    "SimulatedCrossbar",
    "Surveyed",
    "Suspect",
    "age",
    "instruments_for",
    "remap",
    "store",
    "survey",
    "wear_rates",
]
