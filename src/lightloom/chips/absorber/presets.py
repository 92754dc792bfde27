"""Named absorbers: what the sources give, what is derived from it, and what is assumed."""

from __future__ import annotations

import math

from lightloom.chips.absorber.chip import AbsorberChip
from lightloom.chips.constants import reported
from lightloom.common.arguments import checked
from lightloom.common.presets import Presets

_STECK = "Steck, Rubidium 87 D Line Data, steck.us/alkalidata"

_RUBIDIUM = {
    "wavelength": reported(780.241209686e-9, "m", f"{_STECK}: D2 line, in vacuum"),
    "saturation_irradiance": reported(
        16.6933, "W/m^2", f"{_STECK}: D2 line, F = 2 to F' = 3 driven by circular light, on resonance (1.66933 mW/cm^2)"
    ),
}

# Derived from the cell-organelle training set of Wang et al., Nat. Photonics (2023), doi:10.1038/s41566-023-01170-8,
# data CC BY 4.0 (Figure_2fg/Train_Data_Cell_Nonlinear_fc1act1.npz: intensities before and after the intensifier, 1000
# images, 36 channels). Each channel is fitted by `fit_double_exponential`. Its input is divided by the one at which
# output over input has fallen to half of the fit's slope at 0, and its output so that this slope is 1. Of the 8
# channels whose fit leaves less than a tenth of the outputs' standard deviation, and whose inputs reach twice that
# point (99th percentile), the fits are averaged at the inputs below. They differ by up to 0.02 (standard deviation).
_INTENSIFIER = (
    (0.05, 0.0475),
    (0.1, 0.0904),
    (0.2, 0.1649),
    (0.35, 0.2552),
    (0.5, 0.3275),
    (0.75, 0.423),
    (1.0, 0.5),
    (1.25, 0.5664),
    (1.5, 0.626),
    (1.75, 0.6809),
    (2.0, 0.7322),
)

_AONN = AbsorberChip(name="aonn")
_VAPOUR = AbsorberChip(name="vapour", form="propagated", **_RUBIDIUM)

ABSORBERS: Presets[AbsorberChip] = Presets(
    "absorber",
    {
        # Guo et al., Photon. Res. 9, B71 (2021): thin medium of optical depth 10 on fields, in units of the saturation
        # intensity, tied to no substance; the larger depth is the one of its comparison of networks
        "aonn": _AONN,
        "aonn-od30": _AONN.replace(name="aonn-od30", optical_depth=30.0),
        # the same depths with the light followed through the medium: two-level atoms on resonance, all of one
        # frequency, as cold rubidium has them
        "vapour": _VAPOUR,
        "vapour-od30": _VAPOUR.replace(name="vapour-od30", optical_depth=30.0),
        # atoms that move: each velocity has a resonance of its own, much wider together than the line. Assumed: depth
        # 10, and the saturation intensity of the atoms that stand still for the light
        "broadened": _VAPOUR.replace(name="broadened", broadening="inhomogeneous"),
        # assumed: 20 dB for weak light; semiconductor optical amplifiers have 15 ... 25 dB (photonica.io, gain
        # saturation)
        "amplifier": AbsorberChip(name="amplifier", form="propagated", optical_depth=-2 * math.log(10)),
        # measured, incoherent light: intensities, not fields. Input 1 is where half of what weak light gives comes out
        "intensifier": AbsorberChip(name="intensifier", form="measured", encoding="intensity", table=_INTENSIFIER),
    },
)


@checked
def absorber(name: str) -> AbsorberChip:
    """The absorber of this name.

    Args:
        name: One of `ABSORBERS`.

    Raises:
        RequestError: There is none; the nearest known name is given.
    """
    return ABSORBERS.find(name)
