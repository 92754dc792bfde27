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
    stages="lightloom.pipeline.technologies.pcm:PCMStages",
)
