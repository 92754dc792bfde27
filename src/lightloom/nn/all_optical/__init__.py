"""Networks in which light goes forwards and the error goes backwards as light too, as hardware would do it."""

from lightloom.nn.all_optical.config import OpticalPass
from lightloom.nn.all_optical.network import AllOptical

__all__ = ["AllOptical", "OpticalPass"]
