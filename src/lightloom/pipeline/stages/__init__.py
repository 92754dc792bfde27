"""What each stage of a run does, from files to files; one file a stage."""

from lightloom.pipeline.stages.calibrate import calibrate
from lightloom.pipeline.stages.cost import cost
from lightloom.pipeline.stages.evaluate import evaluate
from lightloom.pipeline.stages.learn import learn
from lightloom.pipeline.stages.map import map_weights
from lightloom.pipeline.stages.program import program
from lightloom.pipeline.stages.reorder import reorder
from lightloom.pipeline.stages.report import report
from lightloom.pipeline.stages.sweep import sweep
from lightloom.pipeline.stages.train import train

__all__ = [
    "calibrate",
    "cost",
    "evaluate",
    "learn",
    "map_weights",
    "program",
    "reorder",
    "report",
    "sweep",
    "train",
]
