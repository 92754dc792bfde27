"""What a network on a chip takes: cores, calls, energy, time, each with its boundary named."""

from lightloom.cost.electronics import CPU_PEAK, EDGE_PEAK, GPU_BATCH_1, REFERENCES, ElectronicProfile
from lightloom.cost.hybrid import HybridCost, hybrid_cost, hybrid_file, published_accounting
from lightloom.cost.inference import Cost, estimate
from lightloom.cost.mesh.learning import LearningCost, learning_cost
from lightloom.cost.pcm.writes import LayerWrites, ModelWrites, count_writes, index_bits, wear_maps, weight_bits
from lightloom.cost.system import SCHEDULES, Memory, Schedule, System
from lightloom.cost.technology import CostModel, Loss, Setting, cost_of
from lightloom.cost.trace import LayerUse, trace

__all__ = [
    "CPU_PEAK",
    "EDGE_PEAK",
    "GPU_BATCH_1",
    "REFERENCES",
    "SCHEDULES",
    "Cost",
    "CostModel",
    "ElectronicProfile",
    "HybridCost",
    "LayerUse",
    "LayerWrites",
    "LearningCost",
    "Loss",
    "Memory",
    "ModelWrites",
    "Schedule",
    "Setting",
    "System",
    "cost_of",
    "count_writes",
    "estimate",
    "hybrid_cost",
    "hybrid_file",
    "index_bits",
    "learning_cost",
    "published_accounting",
    "trace",
    "wear_maps",
    "weight_bits",
]
