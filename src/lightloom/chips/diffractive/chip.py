"""Hardware of diffraction: light passes phase masks on its way from a modulator to a camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from lightloom.chips.base import Bits
from lightloom.chips.constants import Constant, Efficiency, assumed, derived, reported
from lightloom.chips.devices import Peripherals
from lightloom.common.arguments import checked
from lightloom.common.checks import seed_number
from lightloom.common.config import Section, at_least, at_most
from lightloom.common.seeds import named_generator
from lightloom.physics import diffraction
from lightloom.physics.diffraction import Grid

_DMD = "Texas Instruments DLP9500 data sheet (1920 x 1080 mirrors)"
_SUPERPIXEL = "Goorden et al., Opt. Express 22, 17999 (2014)"
_PLM = "Rocha et al., arXiv:2409.01289 (2024)"
_CAMERA = "Agarwal et al., ForzaFAST581 (2026, PMC12944688): 3840 x 2160 pixels, 12 bit, 1141 frames/s, 5.5 W in all"


class DiffractiveDevices(Section):
    """Devices around and in the light's way, as the cost model counts them.

    The defaults are parts that exist, put together by assumption: no source measures them in one system, and mirrors
    and camera are specified for visible light. Energies are those of the device without its controller, and per pixel
    that is used: a modulator or camera of many pixels is shared by as many channels as fit. Optics are assumed to image
    the pixels of modulator and camera onto those of the chip.
    """

    modulator_rate: Constant = reported(23148, "Hz", f"{_DMD}: largest rate of binary patterns")
    """Frames per second of the modulator that gives the input light its amplitudes."""
    modulator_energy: Constant = derived(
        16 * 4.4 / (1920 * 1080 * 23148),
        "J",
        f"derived: 4.4 W ({_DMD}: electrical power) over mirrors and rate, x 16 mirrors for one pixel of any "
        f"amplitude ({_SUPERPIXEL})",
    )
    """Energy of one pixel of this modulator per frame."""
    modulator_loss: Constant = assumed(
        10.0, "dB", f"assumed: a superpixel ({_SUPERPIXEL}) sends most of its light into other orders"
    )
    """Optical loss of this modulator at full scale."""
    mask_rate: Constant = reported(
        1440, "Hz", f"{_PLM}: mirrors that move as pistons, 4 bit", doi="10.48550/arXiv.2409.01289"
    )
    """Frames per second of a mask that is rewritten between optical paths."""
    mask_energy: Constant = assumed(
        4.4 / (1920 * 1080 * 1440),
        "J",
        f"assumed: the electrical power of as many mirrors, {_DMD} (4.4 W), at 1440 Hz ({_PLM})",
    )
    """Energy of one pixel of such a mask per frame. A mask that is made once and stays takes none."""
    mask_power: Constant = derived(0.0, "W", "a mask that is made once is passive")
    """Power that holds one mask's phases."""
    camera_rate: Constant = reported(1141, "Hz", _CAMERA)
    """Frames per second that the camera reads."""
    camera_energy: Constant = derived(
        5.5 / (3840 * 2160 * 1141), "J", f"derived: power over pixels and rate ({_CAMERA})"
    )
    """Energy of reading one pixel; its analogue-to-digital conversion and the link off the sensor are included."""
    camera_bits: Constant = reported(12, "1", _CAMERA)
    """Bits of that conversion."""
    quantum_efficiency: Efficiency = reported(
        0.85,
        "1",
        "Princeton Instruments, NIRvana technical note: InGaAs from 900 to 1500 nm, where silicon has below 0.1",
    )
    """Electrons over photons that reach a pixel."""
    full_well: Constant = reported(
        32.7e3, "1", "Sony IMX174 (5.86 um pixels), EMVA 1288 figures of its cameras: saturation"
    )
    """Electrons of a pixel at full scale, where a chip does not say how many `photons` it detects."""
    optics_loss: Constant = assumed(3.0, "dB", "assumed: polariser, lenses and windows together")
    """Optical loss between laser and camera besides modulator and masks."""
    laser_efficiency: Efficiency = Peripherals.model_fields["laser_efficiency"].default
    """Light out of the laser over electricity into it."""


class DiffractiveChip(Section):
    """Masks in a row, through which the light of one image diffracts to a detector.

    The image stands on a grid of M x M samples, zero around it; light goes z1 to the first mask and z2 from each to the
    next plane, the last of which is the detector. Fields beyond the grid come back at its other side. Defaults are
    stage 3 of the published hybrid detector (PHOENIX); every imperfection is off at its default.
    """

    purpose: ClassVar[str] = (
        "diffractive hardware, which is phase masks without tensor cores: make a layer of it by "
        "`nn.DiffractiveConv2d`, or a network by `nn.DiffractiveNetwork`"
    )
    """What such hardware is for, as an error says it where something else was expected."""
    summary_fields: ClassVar[tuple[str, ...]] = (
        *("name", "wavelength", "pixel", "grid", "mask", "layers", "detector", "phase_bits"),
    )
    """Names of the fields that a list of chips shows."""
    details: ClassVar[frozenset[str]] = frozenset({"devices"})
    """Names of the fields that a list leaves out."""
    technology: Literal["diffractive"] = "diffractive"
    """Name of the technology."""
    name: str
    """Name of the preset that this is, or your own."""
    wavelength: Annotated[
        float,
        at_least(1e-9, "such light is no light"),
        at_most(1e-2, "such light is no light"),
    ] = Field(1.05e-6, gt=0)
    """Wavelength of the light in m. Source: PHOENIX."""
    pixel: Annotated[
        float,
        at_least(1e-9, "no mask has such pixels"),
        at_most(1e-1, "no mask has such pixels"),
    ] = Field(1.75e-6, gt=0)
    """Distance of neighbouring samples on the grid and of neighbouring pixels of a mask, m. Source: PHOENIX."""
    grid: int = Field(80, ge=1, le=4096)
    """Samples M along each side of the grid. Source: PHOENIX, stage 3."""
    mask: Annotated[int, at_most(4096, "the largest grid has as many samples a side")] = Field(40, ge=1)
    """Pixels N along each side of a mask, in the middle of the grid; light passes unchanged around it."""
    layers: int = Field(2, ge=1, le=64)
    """Masks K that the light passes one after the other."""
    distance_in: Annotated[float, at_most(1e3, "no optical table is a kilometre long")] = Field(1e-4, ge=0)
    """Distance z1 in m from the image to the first mask."""
    distance: Annotated[float, at_most(1e3, "no optical table is a kilometre long")] = Field(1e-4, ge=0)
    """Distance z2 in m from each mask to the next plane."""
    method: Literal["angular_spectrum", "band_limited", "fresnel"] = "angular_spectrum"
    """How light is propagated: exactly; exactly and without the waves that the grid samples too coarsely; or for small
    angles. Beyond `critical_distance` take the second."""
    evanescent: Literal["cut", "decay"] = "cut"
    """Waves finer than the wavelength, in the angular spectrum: left out, or falling off with the distance."""
    detector: Literal["field", "amplitude", "intensity"] = "intensity"
    """What is detected of the field: its real part (homodyne), |u|, or |u|^2 (a camera)."""
    phase_bits: Bits | None = None
    """Resolution of a mask: 2^bits levels in a turn; None is exact."""
    phase_noise_std: Annotated[
        float,
        at_most(1e3, "one turn makes every phase equally likely already"),
    ] = Field(0.0, ge=0)
    """Standard deviation of the error of some phases, in turns, new at every use; PHOENIX tests 1."""
    phase_noise_fraction: float = Field(0.05, ge=0, le=1)
    """Share of the phases that have this error. Source: PHOENIX."""
    noise_in: tuple[Literal["train", "eval"], ...] = ("train", "eval")
    """Passes in which phase noise and shot noise act. Source: PHOENIX (both)."""
    misalignment_std: Annotated[float, at_most(4096, "masks would stand beside the largest grid")] = Field(0.0, ge=0)
    """Standard deviation of each mask's place along y and x, in pixels; fixed for a manufactured chip."""
    transmission: float = Field(1.0, gt=0, le=1)
    """Share of the intensity that each mask lets through."""
    photons: Annotated[
        float | None,
        at_most(1e15, "no pixel holds as many"),
        at_least(1e-6, "no light is left"),
    ] = Field(None, gt=0)
    """Photons that a pixel detects where |u| = 1; None is no shot noise."""
    devices: DiffractiveDevices = DiffractiveDevices()
    """Device constants for the cost, each with its source."""

    @model_validator(mode="before")
    @classmethod
    def _holds_numbers(cls, values: Any) -> Any:
        fields = values.items() if isinstance(values, Mapping) else ()
        trained = [name for name, value in fields if getattr(value, "requires_grad", False)]
        if trained:
            raise ValueError(
                f"`{trained[0]}` requires a gradient, and a chip holds numbers, through which none flows; to train "
                "distances give the layer `learn_distance=True`, and for other lengths take "
                "`physics.diffraction.transfer`, which takes tensors"
            )
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mask > self.grid:
            raise ValueError(
                f"a mask of {self.mask} x {self.mask} pixels does not fit on a grid of {self.grid} x {self.grid}; set "
                f"`grid={self.mask}` or more, or a smaller `mask`"
            )
        if len(set(self.noise_in)) < len(self.noise_in):
            raise ValueError(f"`noise_in` names one twice: {', '.join(self.noise_in)}; name each once")
        return self

    @property
    def idle(self) -> set[str]:
        """Names of the fields that say nothing about such hardware; here every one says something."""
        return set()

    @property
    def critical_distance(self) -> float:
        """Distance in m up to which the grid samples the phase of free space finely enough."""
        return float(diffraction.critical_distance(self.plane()))

    def plane(self) -> Grid:
        """The grid of every plane."""
        return Grid(self.grid, self.grid, self.pixel, self.wavelength)

    @checked
    def offsets(self, seed: int, layer: str = "") -> tuple[tuple[float, float], ...]:
        """Displacements of the masks of a manufactured chip from their places: K of (dy, dx) in pixels.

        Args:
            seed: Which chip came off the line.
            layer: Name of the layer of a network that this chip is, where there are several.

        Raises:
            RequestError: The seed is no whole number from 0 to 2^63 - 1.
        """
        generator = named_generator(seed_number(seed), "specimen", layer, "misalignment")
        offsets = torch.randn(self.layers, 2, dtype=torch.float64, generator=generator) * self.misalignment_std
        return tuple((dy, dx) for dy, dx in offsets.tolist())

    @checked
    def transfers(self, seed: int | None = None, layer: str = "") -> tuple[Tensor, ...]:
        """Transfer functions [M, M], complex128, of the K + 1 ways: to the first mask, between masks, to the detector.

        Args:
            seed: Which manufactured chip, its misalignment included in the ways; None is one without.
            layer: As in `offsets`.
        """
        distances = (self.distance_in, *[self.distance] * self.layers)
        ways = tuple(diffraction.transfer(self.plane(), z, self.method, self.evanescent) for z in distances)
        if seed is None or self.misalignment_std == 0:
            return ways
        return diffraction.misalign(ways, self.offsets(seed, layer))
