"""The groups of fields of a run's config: which images, which network, what is on the bench, what is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lightloom.chips import AbsorberChip, DiffractiveChip, absorber, diffractive
from lightloom.common.config import Section, at_least, at_most
from lightloom.common.errors import nearest
from lightloom.data import describe
from lightloom.nn import OpticalPass
from lightloom.nn.absorber import Gradient, Trained
from lightloom.tasks.classification import MODELS

DIFFRACTIVE_NETWORK = "d2nn"
"""The model that is a diffractive network, on the chip `optics.diffraction`."""

Activation = Literal["relu", "tanh", "sigmoid", "linear", "absorber"]


class DataConfig(Section):
    """Which images."""

    name: str = "digits"
    """Data set."""
    limit: int | None = Field(None, ge=1)
    """Train on at most so many images; None is all."""
    size: Annotated[int | None, at_most(8192, "images are kept in memory at this size")] = Field(None, ge=1)
    """Resize the images to so many pixels a side; None leaves them."""
    augment: bool = False
    """Crop and mirror the images of a training step at random."""
    pixels: Literal["standard", "unit"] = "standard"
    """standard: mean 0 and deviation 1 over the training images; unit: 0 is black and 1 is white, as light is."""
    root: Path | None = None
    """Folder with the sets' folders; None is `LIGHTLOOM_DATA`, else a checked download."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        describe(name)
        return name


class ModelConfig(Section):
    """Which network."""

    name: str = "cnn"
    """Model."""
    width: Annotated[int | None, at_most(65536, "weights and activations would not fit into any memory")] = Field(
        None, ge=1
    )
    """Channels or units of its first layer, the others in proportion; None is the model's own."""
    depth: Annotated[int | None, at_most(1000, "signals and gradients do not survive as many layers")] = Field(
        None, ge=1
    )
    """Hidden layers of an MLP or convolutions of a CNN, of models that take it; None is the model's own."""
    activation: Activation | None = None
    """Nonlinearity, of models that take it; absorber is that of `optics`, None the model's own."""
    input_scale: Annotated[float, at_most(1e6, "light that bright leaves single precision behind absorbers")] = Field(
        1.0, gt=0
    )
    """Factor of the pixels, of models that take it: how bright the light is that carries them."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        known = (*MODELS, DIFFRACTIVE_NETWORK)
        if name not in known:
            raise ValueError(f"there is no model `{name}`. {nearest(name, known)}")
        return name

    @model_validator(mode="after")
    def _light_has_sizes_of_its_own(self) -> Self:
        given = [key for key in ("width", "depth", "activation") if getattr(self, key) is not None]
        given += ["input_scale"] if self.input_scale != 1 else []
        if self.name == DIFFRACTIVE_NETWORK and given:
            raise ValueError(
                f"`{DIFFRACTIVE_NETWORK}` takes no `{given[0]}`: its sizes are those of the chip; set "
                "`optics.diffraction.layers`, `.mask` or `.grid`"
            )
        return self


class BenchConfig(Section):
    """How a chip is measured on the bench."""

    readout_std: Annotated[float, at_most(1.0, "noise as large as full scale leaves nothing to measure")] = Field(
        0.001, ge=0
    )
    """Noise of each measured value, relative to full scale."""
    accuracy: Annotated[float, at_least(1e-6, "phases are held in single precision, which rounds by as much")] = Field(
        0.005, gt=0
    )
    """Calibration measures until phases are known to this, in rad."""
    budget: int | None = Field(None, ge=1)
    """Calls that calibration may take; None is 4 per waveguide and another 256."""
    looks: Annotated[int, at_most(1_000_000, "mapping would not end")] = Field(1, ge=0)
    """Calls that mapping takes to look at the programmed blocks and correct them."""


class WearConfig(Section):
    """How a PCM chip is used."""

    rate: Annotated[float, at_most(1e15, "no light is switched as often in a second")] = Field(50.0, gt=0)
    """Inferences per second."""
    inferences: float = Field(0.0, ge=0)
    """Inferences that the chip is to serve: the report says what has failed by then."""


class OpticsConfig(Section):
    """Optics outside tensor cores: diffractive layers, absorbers, and the light that trains a network."""

    diffraction: DiffractiveChip = diffractive("phoenix")
    """Hardware of diffractive networks and of the optical stages of a detector; a preset's name stands for the preset.
    """
    absorber: AbsorberChip = absorber("aonn")
    """The medium; a preset's name stands for the preset."""
    gradient: Gradient = "exact"
    """What a gradient is multiplied by on its way back through an absorber: the exact derivative, what a weak probe
    sees there, or nothing, one or minus one for comparison."""
    trainable: tuple[Trained, ...] = ()
    """What of the absorbers trains beside the weights."""
    settle: Annotated[float | None, at_most(1e6, "fields that strong leave single precision behind absorbers")] = Field(
        None, gt=0
    )
    """Scale the first weights so that the field at each absorber is so many times that of half transmission; None keeps
    them as published."""
    weight_range: tuple[float, float] | None = None
    """Least and greatest weight that a modulator can show."""
    weight_norm: Literal["l1", "l2"] | None = None
    """Norm that the weights of a layer may have no more than 1 of: a modulator passes light and does not amplify it."""
    light: OpticalPass = OpticalPass()
    """What the light of the backward pass goes through; where nothing is on, gradients are those of autograd."""
    on_chip: bool = False
    """Train the network on the tensor cores of `chip`, from the first step on."""

    @field_validator("diffraction", mode="before")
    @classmethod
    def _diffractive_preset(cls, given: Any) -> Any:
        return diffractive(given) if isinstance(given, str) else given

    @field_validator("absorber", mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        return absorber(given) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.on_chip and (self.weight_range or self.weight_norm):
            raise ValueError(
                "a chip limits its weights itself; leave `weight_range` and `weight_norm` out with `on_chip`"
            )
        if self.trainable and (self.absorber.table is not None or self.absorber.optical_depth == 0):
            raise ValueError(
                f"nothing of `{self.absorber.name}` can train: a measured curve has no optical depth, and one of 0 has "
                "no sign to keep; leave `trainable` empty"
            )
        if self.weight_range is not None and not self.weight_range[0] < self.weight_range[1]:
            raise ValueError(f"`weight_range` goes from the least to the greatest weight, not {self.weight_range}")
        return self


class Case(Section):
    """One training of a comparison."""

    name: str = Field(min_length=1)
    """Unique in the comparison."""
    series: str = ""
    """Cases of one series are joined in a plot; "" is a series of its own."""
    x: float | None = None
    """Where in the plot; None has no place, as a baseline."""
    changes: tuple[str, ...] = ()
    """How its config differs from the run's, as `key=value`."""


class SweepConfig(Section):
    """Trainings that are compared with each other, each with the same seeds."""

    cases: tuple[Case, ...] = ()
    seeds: Annotated[int, Field(ge=1), at_most(10_000, "every case would be trained as often")] = 1
    """Trainings of each case, with seeds from the run's on: other first weights, order and validation images."""
    x: str = ""
    """What changes along a series."""
    scale: Literal["linear", "log"] = "linear"
    """Of that axis."""
    baseline: str = ""
    """Case that the others are measured by."""
    angles: bool = False
    """Compare the gradient of light with the exact one before every epoch."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [case.name for case in self.cases]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two cases are called `{doubled[0]}`; name each case once")
        if self.baseline and self.baseline not in names:
            known = nearest(self.baseline, names) if names else "There are no cases at all."
            raise ValueError(f"there is no case `{self.baseline}` to be the baseline. {known}")
        if self.scale == "log" and any(case.x is not None and case.x <= 0 for case in self.cases):
            raise ValueError("a logarithmic axis has no place for 0 or less; give `x` above 0, or `scale: linear`")
        return self
