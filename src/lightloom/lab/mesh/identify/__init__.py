"""Calibrate by identification: measure a chip until it is known, then compute the settings it needs.

>>> known = identify(instrument)  # a few tens of calls, all blocks side by side
>>> instrument.program(settings_for_identity(known.twin))

What can be identified. A real mesh of a universal layout, read with sign (a local oscillator): everything, but the
common sign of each mode of U and V, (U D)(D V) with D of +1 and -1, which no measurement of the block can tell; neither
`|U|` nor any product depends on it. The smallest number of calls is set by the columns, 2 k + 2 to find all
biases, not by the k(k - 1) phases.

Photodiodes without a local oscillator read squares of outputs. Light in one waveguide, then in that and the first one
together, gives the relative signs within a row: 2 k - 1 input vectors, two calls, for a matrix up to one sign per row.
Those signs belong to the readout and would have to be carried from setting to setting, by turns so small that no row
changes its sense; then the same planes follow, from about twice the calls at best.

In a complex mesh an external phase turns one vector instead of a plane, A' A^H = 1 + (e^{it} - 1) x x^H, so the light
in a segment follows directly, up to its phase; there are twice the columns to turn, and the free diagonal D is one of
phases. `identify` itself reads real meshes with sign; the other two are what the method allows, not what it does yet.
"""

from lightloom.lab.mesh.identify.inverse import settings_for_identity, settings_for_targets
from lightloom.lab.mesh.identify.io import load_identified, save_identified
from lightloom.lab.mesh.identify.measurements import Measurements
from lightloom.lab.mesh.identify.procedure import identify, recalibrate, refine
from lightloom.lab.mesh.identify.session import Identified, Suspect

__all__ = [
    "Identified",
    "Measurements",
    "Suspect",
    "identify",
    "load_identified",
    "recalibrate",
    "refine",
    "save_identified",
    "settings_for_identity",
    "settings_for_targets",
]
