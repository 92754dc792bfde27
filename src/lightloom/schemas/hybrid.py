"""The cost of networks with optical stages in two accounts: `hybrid.json`."""

from __future__ import annotations

from lightloom.schemas.base import Amount, Record
from lightloom.schemas.cost import Boundary, Constant


class PublishedCost(Record):
    """What is counted as in publications: the electronic stages that remain, light as nothing."""

    parameters: Amount = None
    """Parameters of these stages."""
    macs: Amount = None
    """Multiply-accumulates of one image."""
    stages: int | None = None
    """Electronic stages that are counted."""
    energy_j: Amount = None
    """Energy of one image in J."""
    latency_s: Amount = None
    """Latency of one image in s."""
    note: str = ""
    """What a reader should know of this account."""


class HybridCase(Record):
    """The cost of one case in both accounts; boundaries go from the narrowest to the widest."""

    case: str
    """Name of the case."""
    published: PublishedCost = PublishedCost()
    """The account of publications."""
    electronic_parameters: Amount = None
    """Weights of the whole network that are not phases of masks."""
    optical_parameters: Amount = None
    """Phases of all masks."""
    optical_paths: Amount = None
    """Paths of light through masks."""
    frames: Amount = None
    """Frames that the optics show for one image."""
    boundaries: list[Boundary] = []
    """Totals, each of which holds the one before."""
    parts: dict[str, Amount] = {}
    """Energy in J by part, within the widest boundary."""
    latencies: dict[str, Amount] = {}
    """Latency in s within the widest boundary, for the fewest and the most paths side by side."""
    assumptions: list[str] = []
    """What was assumed, a sentence each."""


class HybridFile(Record):
    """The whole of `hybrid.json`."""

    cases: list[HybridCase] = []
    """The cost of each case."""
    constants: list[Constant] = []
    """Numbers that the cost rests on."""
