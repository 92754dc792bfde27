"""The record of phase-change crossbars."""

from __future__ import annotations

from lightloom.chips.pcm.chip import PCMChip
from lightloom.chips.pcm.presets import PCM_PRESETS
from lightloom.chips.technology import Technology

PCM = Technology(
    name="pcm",
    chip=PCMChip,
    presets=PCM_PRESETS,
    core="lightloom.nn.cores.pcm:PCMCore",
    cost="lightloom.cost.pcm:PCMCost",
    bench="lightloom.lab.crossbar.network:InstrumentedCrossbar",
    export="lightloom.export.pcm.model:PCMExport",
    stages="lightloom.pipeline.technologies.pcm:PCMStages",
)
