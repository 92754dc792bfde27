"""What crossbars of phase-change cells take: to compute, and to be rewritten."""

from lightloom.cost.pcm.model import PCMCost

__all__ = ["PCMCost"]
