"""What is imperfect where light carries a network's signals forwards and its errors backwards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lightloom.common.config import Section, at_most


class OpticalPass(Section):
    """Imperfections of an all-optical training pass, each off by default.

    The saturation intensity meant here is that of the network's last absorber; all light is measured by it.
    """

    probe_intensity: Annotated[float, at_most(1e6, "light that bright leaves single precision behind absorbers")] = (
        Field(0.0, ge=0)
    )
    """Peak intensity of the error light where it enters, over the saturation intensity; 0 is infinitely weak: it
    saturates nothing, and the noise is that of error fields as large as the gradient of the outputs."""
    photons: float | None = Field(None, gt=0)
    """Photons that one exposure brings to a detector pixel at the saturation intensity; None is no shot noise."""
    detector_std: Annotated[float, at_most(1e3, "noise would drown every signal")] = Field(0.0, ge=0)
    """Standard deviation of a detector's noise: of one measured intensity over the saturation intensity, and of an
    output field over its root."""
    loss_db: Annotated[float, at_most(300, "no photon is left")] = Field(0.0, ge=0)
    """Loss of intensity behind every weight layer, on the way to the next and on the way back, in dB."""
    weight_bits: Annotated[int | None, at_most(32, "single precision holds no more")] = Field(None, ge=1)
    """Width of the modulator that shows the weights; its levels are symmetric about 0 over max |W|. None is exact."""
    error_bits: Annotated[int | None, at_most(32, "single precision holds no more")] = Field(None, ge=1)
    """Width of the modulator that makes the error light, full scale at its peak in the batch; None is exact."""
    sweeps: Annotated[int, at_most(10_000, "light settles within a few rounds")] = Field(2, ge=1)
    """Rounds in which forward and backward light settle to each other, where the error light is not weak."""

    @property
    def active(self) -> bool:
        """Whether any imperfection is on."""
        bits = self.weight_bits is not None or self.error_bits is not None
        return self.noisy or bits or self.probe_intensity > 0 or self.loss_db > 0

    @property
    def noisy(self) -> bool:
        """Whether what is measured differs from one time to the next."""
        return self.photons is not None or self.detector_std > 0

    @property
    def transmission(self) -> float:
        """Share of the field, not of the intensity, that is left behind a weight layer."""
        loss: float = 10 ** (-self.loss_db / 20)
        return loss
