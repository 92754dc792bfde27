"""A synthetic town, seen by the cameras of a vehicle, in the form of nuScenes."""

from lightloom.data.toytown.config import CHANNELS, VERSION, ToytownConfig
from lightloom.data.toytown.make import make_toytown, toytown

__all__ = ["CHANNELS", "VERSION", "ToytownConfig", "make_toytown", "toytown"]
