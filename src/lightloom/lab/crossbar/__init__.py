"""Crossbars of phase-change cells on the bench: find the cells that have failed, and work around them.

>>> benches = crossbars(model, readout_std=0.01)  # a converted model, installed on an aged specimen
>>> for bench in benches.values():
...     surveyed = survey(bench.instrument)  # a few calls, and one sweep of each cell through its levels
...     bench.store(bench.remap(surveyed))  # other rows, other levels
"""

from lightloom.lab.crossbar.instrument import CrossbarInstrument, SimulatedCrossbar
from lightloom.lab.crossbar.network import Bench, age, crossbars, store, wear_rates
from lightloom.lab.crossbar.remap import Remapped, remap
from lightloom.lab.crossbar.survey import survey
from lightloom.lab.crossbar.surveyed import Surveyed, Suspect

__all__ = [
    "Bench",
    "CrossbarInstrument",
    "Remapped",
    "SimulatedCrossbar",
    "Surveyed",
    "Suspect",
    "age",
    "crossbars",
    "remap",
    "store",
    "survey",
    "wear_rates",
]
