"""Named diffractive hardware: what the sources give, what is derived from it, and what is assumed."""

from __future__ import annotations

from lightloom.chips.constants import reported
from lightloom.chips.diffractive.chip import DiffractiveChip, DiffractiveDevices
from lightloom.common.arguments import checked
from lightloom.common.presets import Presets

# PHOENIX, a detector whose last stages are diffractive (repository Anon-BOTs/Distill-Hybrid-Optoelectronic): sizes as
# its released settings give them, one for each stage of the backbone that is replaced. 1050 nm, 1.75 um and 100 um are
# the same for all.
_PHOENIX = DiffractiveChip(name="phoenix")

# Lin et al., Science 361, 1004 (2018): five masks of 200 x 200 neurons of 400 um, 3 cm apart, for 0.4 THz (0.75 mm).
# Derived: the same Fresnel number pixel^2 / (wavelength x distance) for green light and the 8 um pixels of common
# liquid-crystal modulators, so that a pixel's light reaches as many pixels of the next mask as far as angles are small.
_THZ_FRESNEL_NUMBER = (400e-6) ** 2 / ((299_792_458 / 0.4e12) * 3e-2)
_D2NN_DISTANCE = (8e-6) ** 2 / (532e-9 * _THZ_FRESNEL_NUMBER)

_SILICON = DiffractiveDevices(
    quantum_efficiency=reported(0.77, "1", "Sony IMX174, EMVA 1288 figures of its cameras: silicon at 525 nm")
)

DIFFRACTIVE: Presets[DiffractiveChip] = Presets(
    "diffractive chip",
    {
        "phoenix": _PHOENIX,
        "phoenix-stage0": _PHOENIX.replace(name="phoenix-stage0", grid=400, mask=300, layers=4),
        "phoenix-stage1": _PHOENIX.replace(name="phoenix-stage1", grid=400, mask=200, layers=4),
        "phoenix-stage2": _PHOENIX.replace(name="phoenix-stage2", grid=200, mask=100),
        # its vision transformer: the same optics on 128 samples
        "phoenix-vit": _PHOENIX.replace(name="phoenix-vit", grid=128, mask=64),
        # assumed: a grid of twice the masks, so that on one way no light comes back from the edge into them; what
        # random masks scatter widely does so after two or more
        "d2nn": DiffractiveChip(
            name="d2nn",
            wavelength=532e-9,
            pixel=8e-6,
            grid=400,
            mask=200,
            layers=5,
            distance_in=_D2NN_DISTANCE,
            distance=_D2NN_DISTANCE,
            devices=_SILICON,
        ),
    },
)


@checked
def diffractive(name: str) -> DiffractiveChip:
    """The diffractive chip of this name.

    Args:
        name: One of `DIFFRACTIVE`.

    Raises:
        RequestError: There is none; the nearest known name is given.
    """
    return DIFFRACTIVE.find(name)
