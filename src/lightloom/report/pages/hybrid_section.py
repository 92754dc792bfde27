"""What the sections on detection and on optics tell: pictures of both, and the tables of cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightloom.report.pictures.detection_gallery import Swatch, found_sheets, swatches
from lightloom.report.pictures.light import Features, chosen, features, light_sheets, mask_sheets
from lightloom.report.pictures.sheets import Sheet
from lightloom.report.plots.costs import Costs, costs
from lightloom.report.readers.run import Run


@dataclass(frozen=True)
class Hybrids:
    """The pictures and tables of a run that detects, or that has optical stages; what it did not write is empty."""

    found: tuple[Sheet, ...]
    swatches: tuple[Swatch, ...]
    threshold: float
    masks: tuple[Sheet, ...]
    light: tuple[Sheet, ...]
    features: Features | None
    costs: Costs | None

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every picture that goes beside the page, by the name of its file."""
        featured = (self.features.sheet,) if self.features is not None else ()
        for sheet in (*self.found, *self.masks, *self.light, *featured):
            yield from sheet.files.items()


def hybrids(run: Run) -> Hybrids | None:
    """The pictures and tables of a run, None where it neither detects nor has optical stages."""
    if run.detections is None and not run.precisions and not run.hybrid.cases and not _has_optics(run):
        return None
    layers = chosen(run)
    return Hybrids(
        tuple(found_sheets(run)),
        tuple(swatches(run)),
        run.detections.listed.threshold if run.detections is not None else 0.0,
        tuple(mask_sheets(layers)),
        tuple(light_sheets(layers)),
        features(run),
        costs(run),
    )


def _has_optics(run: Run) -> bool:
    return bool(run.optics.layers or run.optics.features)
