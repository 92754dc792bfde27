"""What happens in optical stages: their masks, their light, and the feature maps that they hand on."""

from __future__ import annotations

from collections.abc import Iterator

from lightloom.report.pictures.light import chosen, features, light_sheets, mask_sheets
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, fill_file


def masks_and_light(run: Run) -> Iterator[Section]:
    """The phase masks of optical layers and the light between them."""
    layers = chosen(run)
    masks, light = tuple(mask_sheets(layers)), tuple(light_sheets(layers))
    if not masks and not light:
        return
    lead = (
        "A feature map enters as light, passes phase masks with free space between them, and is read by a detector. "
        "The masks are learnt."
    )
    files = {name: content for sheet in (*masks, *light) for name, content in sheet.files.items()}
    body = fill_file("sections/optics.html.j2", masks=masks, light=light)
    yield Section("In the optics", "optics", body, lead, files=files)


def feature_maps(run: Run) -> Iterator[Section]:
    """What each stage of a backbone hands on, as pictures."""
    maps = features(run)
    if maps is None:
        return
    lead = (
        "What each stage hands on, mean over its channels, for one image of the test set. Each map has a scale of its "
        "own."
    )
    body = fill_file("sections/features.html.j2", features=maps)
    yield Section("Feature maps", "features", body, lead, files=dict(maps.sheet.files))
