"""The records of every file of a run folder: stages write through them, the report and exports read through them."""

from lightloom.schemas.base import Record, append, parse, read, write
from lightloom.schemas.metric import ACCURACY, Evaluation, Metric
from lightloom.schemas.summary import BenchStage, EpochRow, LearningTotals, Summary
from lightloom.schemas.sweep import GradientAngle, ResponseCurve, ResponseCurves, SweepCase, SweepRow, SweepSummary

__all__ = [
    "ACCURACY",
    "BenchStage",
    "EpochRow",
    "Evaluation",
    "GradientAngle",
    "LearningTotals",
    "Metric",
    "Record",
    "ResponseCurve",
    "ResponseCurves",
    "Summary",
    "SweepCase",
    "SweepRow",
    "SweepSummary",
    "append",
    "parse",
    "read",
    "write",
]
