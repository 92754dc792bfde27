"""What a network on a chip takes: cores, calls, energy, time, each with its boundary named."""

from lightloom.cost.account import Cost, account
from lightloom.cost.learning import LearningCost, learning_cost
from lightloom.cost.trace import LayerUse, trace

__all__ = ["Cost", "LayerUse", "LearningCost", "account", "learning_cost", "trace"]
