"""A run that classifies images: which images, which network, and optics outside tensor cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lightloom.chips import AbsorberChip, DiffractiveChip, absorber, diffractive
from lightloom.common.config import Section, at_most
from lightloom.common.errors import nearest
from lightloom.config import RunConfig
from lightloom.data import describe
from lightloom.learn import Sampling
from lightloom.nn import OpticalPass
from lightloom.nn.absorber import Gradient, Trained
from lightloom.tasks.classification.models import MODELS
from lightloom.tasks.classification.objective import Criterion

DIFFRACTIVE_NETWORK = "d2nn"
"""The model that is a diffractive network, on the chip `optics.diffraction`."""

Activation = Literal["relu", "tanh", "sigmoid", "linear", "absorber"]


class DataConfig(Section):
    """The images that a run learns and is measured on."""

    name: str = "digits"
    """Name of the data set."""
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
    """The network of a run."""

    name: str = "cnn"
    """Name of the model."""
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
        models = (*MODELS, DIFFRACTIVE_NETWORK)
        if name not in models:
            raise ValueError(f"there is no model `{name}`. {nearest(name, models)}")
        return name

    @model_validator(mode="after")
    def _light_has_sizes_of_its_own(self) -> Self:
        fields = [key for key in ("width", "depth", "activation") if getattr(self, key) is not None]
        fields += ["input_scale"] if self.input_scale != 1 else []
        if self.name == DIFFRACTIVE_NETWORK and fields:
            raise ValueError(
                f"`{DIFFRACTIVE_NETWORK}` takes no `{fields[0]}`: its sizes are those of the chip; set "
                "`optics.diffraction.layers`, `.mask` or `.grid`"
            )
        return self


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
    def _diffractive_preset(cls, value: Any) -> Any:
        return diffractive(value) if isinstance(value, str) else value

    @field_validator("absorber", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return absorber(value) if isinstance(value, str) else value

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


class ClassificationConfig(RunConfig):
    """Everything that decides the outcome of a run that classifies images."""

    task: Literal["classification"] = "classification"
    data: DataConfig = DataConfig()
    transfer: DataConfig | None = None
    """Images that the chip learns and is measured on, with a new last layer; None is those of `data`.

    Its `root` is that of `data` where it has none.
    """
    model: ModelConfig = ModelConfig()
    criterion: Criterion = "cross_entropy"
    """Loss of every training; mse is the mean square of outputs minus one-hot targets, over images and classes."""
    optics: OpticsConfig = OpticsConfig()
    """Saturable absorbers, diffractive networks, and training with light."""
    angles: bool = False
    """Compare the gradient of light with the exact one before every epoch of a comparison's trainings."""

    @property
    def unused(self) -> frozenset[str]:
        """Names of the sections that decide nothing in this run, so that its description may leave them out."""
        plain = self.model.name != DIFFRACTIVE_NETWORK and self._is_default("optics")
        return super().unused | ({"optics"} if plain else set())

    @classmethod
    def presets(cls) -> dict[str, Callable[[str], Section]]:
        """What looks up each group of fields that a preset's name may stand for, by the name of the group."""
        return {**super().presets(), "absorber": absorber, "diffraction": diffractive}

    @model_validator(mode="after")
    def _optics_fit_the_stages(self) -> Self:
        optics, plain = self.optics, OpticsConfig()
        if "program" in self.stages:
            if optics.on_chip:
                raise ValueError("`optics.on_chip` trains on the chip from the start; leave `program` out of `stages`")
            if optics.weight_range or optics.weight_norm:
                raise ValueError(
                    "a chip limits its weights itself; leave `optics.weight_range` and `optics.weight_norm` out, or "
                    "`program` and what follows out of `stages`"
                )
        unused = [
            name for name in ("absorber", "gradient", "trainable") if getattr(optics, name) != getattr(plain, name)
        ]
        if unused and self.model.activation != "absorber" and "sweep" not in self.stages:
            raise ValueError(
                f"`optics.{unused[0]}` is for absorbers and the network has none; add `model.activation=absorber` with "
                "`model.name=optical-mlp` or `optical-cnn`"
            )
        if optics.light.active and self.sampling != Sampling():
            raise ValueError(
                "`sampling` thins gradients that a mesh measures one by one; leave it out with `optics.light`"
            )
        return self
