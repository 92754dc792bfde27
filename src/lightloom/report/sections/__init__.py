"""The sections that the report of any run may have; each is built from the files that a run left, or not at all.

No builder asks which task or technology a run is of: a task that leaves `detections.json` gets a gallery, and a chip
that leaves `writes.json` the section on writes. `lightloom.schemas` has the records of these files.
"""

from __future__ import annotations

from collections.abc import Sequence

from lightloom.report.section import SectionBuilder
from lightloom.report.sections.chip import phases, weight_errors, writes
from lightloom.report.sections.cost import cost, hybrid_cost
from lightloom.report.sections.detection import gallery, multi_camera, precision_in_images, precision_in_space
from lightloom.report.sections.optics import feature_maps, masks_and_light
from lightloom.report.sections.run import layers, run_again
from lightloom.report.sections.states import comparison, states
from lightloom.report.sections.training import absorber, gradient_angles, learning_curves

FIRST: Sequence[SectionBuilder] = (states, comparison)
"""What a page begins with: how good the network is. The sections of the task follow."""

REST: Sequence[SectionBuilder] = (
    multi_camera,
    precision_in_space,
    gallery,
    precision_in_images,
    masks_and_light,
    feature_maps,
    hybrid_cost,
    learning_curves,
    absorber,
    gradient_angles,
    phases,
    writes,
    weight_errors,
    cost,
    layers,
    run_again,
)
"""What a page goes on with: how it came about, and what it takes."""

__all__ = ["FIRST", "REST"]
