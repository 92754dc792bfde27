"""Saturable absorbers and amplifiers: light that sets its own transmission, and what a beam against it sees.

Intensities may have any unit, as long as the saturation intensity has the same. In amplitude encoding a value is a real
field E, signed, of intensity E^2.
"""

from lightloom.physics.absorber.media import Broadening, Form, Medium, check
from lightloom.physics.absorber.response import (
    Encoding,
    Response,
    Slope,
    log_transmission,
    parameter_slopes,
    respond,
    transmit,
)

__all__ = [
    "Broadening",
    "Encoding",
    "Form",
    "Medium",
    "Response",
    "Slope",
    "check",
    "log_transmission",
    "parameter_slopes",
    "respond",
    "transmit",
]
