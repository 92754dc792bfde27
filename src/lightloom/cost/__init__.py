"""What a network on a chip takes: cores, calls, energy, time, each with its boundary named."""

from lightloom.cost.account import Cost, account
from lightloom.cost.learning import LearningCost, learning_cost
from lightloom.cost.trace import LayerUse, trace
from lightloom.cost.writes import LayerWrites, ModelWrites, count_writes, index_bits, wear_maps, weight_bits

__all__ = [
    "Cost",
    "LayerUse",
    "LayerWrites",
    "LearningCost",
    "ModelWrites",
    "account",
    "count_writes",
    "index_bits",
    "learning_cost",
    "trace",
    "wear_maps",
    "weight_bits",
]
