"""Energy and time of one diffractive layer, part by part, from the device constants of its chip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn.diffractive import DiffractiveConv2d

_PLANCK = 6.62607015e-34  # J s
_LIGHT = 299_792_458.0  # m/s

ASSUMPTIONS = (
    "Each optical path shows its input on modulator pixels of its own and is read by camera pixels of its own, "
    "as many as the map has; light is not fanned out from one modulator to many paths.",
    "In every frame each camera pixel is lit for full scale, after all losses: what the chip says in `photons`, else "
    "the full well of the camera; modulators throw away what an image does not need.",
    "A frame takes as long as the slowest of modulator, camera and, where masks are rewritten, masks.",
    "Masks are rewritten for every path where paths take turns and have masks of their own; the memory that their "
    "phases come from is not counted.",
    "Energies of modulators and cameras hold their converters, and not their controllers.",
    "What light computes on its way through masks is no count of multiply-adds: it is left out of operations per "
    "second and of what other machines would take.",
    "Time of flight, drift and recalibration, cooling and the room for the optics are outside every boundary here.",
)

HOMODYNE = "A detector of fields is read once per pixel; its reference beam is not counted."


@dataclass(frozen=True)
class LightUse:
    """One diffractive layer, and the maps that it takes for one sample."""

    name: str
    """Name of the layer in its model."""
    layer: DiffractiveConv2d
    """The layer itself."""
    maps: tuple[tuple[int, int], ...]
    """Rows and columns of each image that the layer takes."""

    @property
    def pixels(self) -> int:
        """Number of pixels of one path, all images together."""
        return sum(rows * columns for rows, columns in self.maps)

    @property
    def sums(self) -> int:
        """Number of electronic multiply-adds that weight what was detected, and add it up over input channels."""
        return self.layer.weight.numel() * self.pixels


class LightCost(NamedTuple):
    """What one layer takes for one image. Energies in J, times in s."""

    frames: int
    """Number of frames, one after the other."""
    light: float
    """Energy of the laser's light."""
    masks: float
    """Energy that holds and rewrites the masks."""
    modulators: float
    """Energy of the modulators that show the input."""
    cameras: float
    """Energy of the cameras that read the output."""
    laser_overhead: float
    """Energy that the laser turns into heat: wall plug less light."""
    mask_time: float
    """Time in which masks are rewritten."""
    time: float
    """Time of all frames."""

    @property
    def parts(self) -> dict[str, float]:
        """Energy by kind of device, as a bill names them."""
        return {
            "laser light": self.light,
            "masks": self.masks,
            "image modulators": self.modulators,
            "cameras": self.cameras,
            "laser wall plug": self.laser_overhead,
        }


def light_cost(use: LightUse, parallel_paths: int | None) -> LightCost:
    """Energy and time of one layer for one image.

    Args:
        use: The layer, and the maps that it takes.
        parallel_paths: Optical paths that exist side by side; None is all of them.
    """
    layer, devices = use.layer, use.layer.chip.devices
    abreast = layer.optical_paths if parallel_paths is None else min(parallel_paths, layer.optical_paths)
    frames = math.ceil(layer.optical_paths / abreast) * len(use.maps)
    mask_pixels = layer.chip.layers * layer.chip.mask**2
    rewritten = layer.turns.numel() > abreast * mask_pixels
    rate = min(devices.modulator_rate.value, devices.camera_rate.value)
    rate = min(rate, devices.mask_rate.value) if rewritten else rate
    time, readings = frames / rate, layer.optical_paths * use.pixels
    rewriting = layer.optical_paths * len(use.maps) * mask_pixels * devices.mask_energy.value if rewritten else 0.0
    light = readings * pixel_light(layer.chip)
    return LightCost(
        frames=frames,
        light=light,
        masks=rewriting + devices.mask_power.value * layer.chip.layers * abreast * time,
        modulators=readings * devices.modulator_energy.value,
        cameras=readings * devices.camera_energy.value,
        laser_overhead=light * (1 / devices.laser_efficiency.value - 1),
        mask_time=frames / devices.mask_rate.value if rewritten else 0.0,
        time=time,
    )


def pixel_light(chip: DiffractiveChip) -> float:
    """Light in J that leaves the laser to bring one camera pixel to full scale."""
    devices = chip.devices
    electrons = devices.full_well.value if chip.photons is None else chip.photons
    at_camera = electrons / devices.quantum_efficiency.value * _PLANCK * _LIGHT / chip.wavelength
    loss_db = devices.modulator_loss.value + devices.optics_loss.value
    return at_camera * 10 ** (loss_db / 10) / chip.transmission**chip.layers


@contextmanager
def unlit(model: nn.Module) -> Iterator[dict[str, list[tuple[int, int]]]]:
    """Meanwhile diffractive layers give zeros and write down the maps that they take, by name: no light is simulated.

    Raises:
        RequestError: A map is larger than the grid of its chip.
    """
    layers = diffractive_layers(model)
    maps: dict[str, list[tuple[int, int]]] = {name: [] for name in layers}
    with ExitStack() as stack:
        for name, layer in layers.items():
            layer.__dict__["forward"] = _stand_in(layer, name, maps[name])
            stack.callback(layer.__dict__.pop, "forward")
        yield maps


def diffractive_layers(model: nn.Module) -> dict[str, DiffractiveConv2d]:
    """The diffractive layers of a model by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, DiffractiveConv2d)}


def _stand_in(layer: DiffractiveConv2d, name: str, maps: list[tuple[int, int]]) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        if max(rows, columns) > layer.chip.grid:
            raise RequestError(
                f"The map of {rows} x {columns} at `{name}` is larger than the grid of {layer.chip.grid} of its chip "
                f"`{layer.chip.name}`; give a larger grid, or smaller images."
            )
        maps.extend([(rows, columns)] * len(x))
        return x.new_zeros(x.shape[0], layer.out_channels, rows, columns)

    return forward
