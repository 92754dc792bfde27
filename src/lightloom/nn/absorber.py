"""Saturable absorbers as activations: light that sets its own transmission, and gradients as light would carry them."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lightloom.chips import AbsorberChip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, nearest
from lightloom.nn.absorber_functions import absorb, with_slope
from lightloom.physics.absorber import (
    Broadening,
    Encoding,
    Form,
    Medium,
    Response,
    check,
    log_transmission,
    respond,
    transmit,
)
from lightloom.physics.absorber.curves import Curve, evaluate, follow, secant
from lightloom.physics.execution import eager, forward_mode, has_numbers

Gradient = Literal["exact", "probe", "zero", "identity", "negative"]
"""What the light of the backward pass is multiplied by: the derivative; the transmission, which is all that a weak beam
from the other side is left with; or, to see how much of either is needed, 0, 1 or -1."""

Trained = Literal["optical_depth", "saturation_intensity"]

_CONSTANTS = {"zero": 0.0, "identity": 1.0, "negative": -1.0}
_SATURATION_GRID = torch.logspace(0, 12, 4001, dtype=torch.float64, device="cpu")


class SaturableAbsorber(nn.Module):
    """A saturable absorber or amplifier behind every output of the layer before.

    Forwards one tensor is kept, backwards it is multiplied by. Where the medium itself trains, the input is kept too,
    and the medium's gradients are exact whatever `gradient` is. Under `torch.func`, `torch.compile` and `torch.export`
    plain operations of torch do the same; there, derivatives of derivatives are those of what `gradient` multiplies by.

    Args:
        optical_depth: Of intensity, unsaturated; below 0 the medium amplifies.
        saturation_intensity: Above 0, in units of the light.
        form: Whether the light that enters sets the absorption ("thin"), or the light at every depth ("propagated").
        encoding: Whether a value is a signed field or an intensity, 0 or above.
        broadening: Of the line.
        residual: Optical depth that never saturates.
        gradient: What is multiplied by backwards; may be changed at any time.
        trainable: Which of the medium's numbers train. Their logarithms are the parameters, so that a step is a share
            of the number and its sign is kept.

    Raises:
        ValueError: There is no such medium, encoding, gradient or trainable number, or a number that is to train has
            no logarithm.
    """

    @checked
    def __init__(
        self,
        optical_depth: float = 10.0,
        saturation_intensity: float = 1.0,
        *,
        form: Form = "thin",
        encoding: Encoding = "amplitude",
        broadening: Broadening = "homogeneous",
        residual: float = 0.0,
        gradient: Gradient = "exact",
        trainable: Collection[Trained] = (),
    ) -> None:
        super().__init__()
        self._fixed = Medium(float(optical_depth), float(saturation_intensity), float(residual), form, broadening)
        check(self._fixed)
        _check_name("an encoding", encoding, get_args(Encoding))
        self.encoding = encoding
        self.curve: Curve | None = None
        self.gradient = gradient
        for name in trainable:
            _check_name("a trainable number of an absorber", name, get_args(Trained))
        if trainable and optical_depth == 0:
            raise ValueError(
                "an optical depth of 0, which has no sign to keep, cannot train; leave `trainable` empty, or give "
                "another medium"
            )
        self.log_depth = self._parameter(abs(optical_depth), "optical_depth" in trainable)
        self.log_saturation = self._parameter(saturation_intensity, "saturation_intensity" in trainable)

    @classmethod
    @checked
    def of(
        cls, chip: AbsorberChip, gradient: Gradient = "exact", trainable: Collection[Trained] = ()
    ) -> SaturableAbsorber:
        """The activation that this hardware is.

        Args:
            chip: A medium, or a measured element.
            gradient: What is multiplied by backwards.
            trainable: Which of the medium's numbers train.

        Raises:
            ValueError: A number of a measured element is to train, or as the constructor says.
        """
        if chip.table is not None:
            if trainable:
                raise ValueError("a measured curve cannot train; leave `trainable` empty, or give another medium")
            return cls.measured(chip.curve(), encoding=chip.encoding, gradient=gradient)
        depth, saturation, residual, form, broadening = chip.medium()
        return cls(
            float(depth),
            float(saturation),
            form=form,
            encoding=chip.encoding,
            broadening=broadening,
            residual=residual,
            gradient=gradient,
            trainable=trainable,
        )

    @classmethod
    @checked
    def measured(
        cls, curve: Curve, *, encoding: Encoding = "amplitude", gradient: Gradient = "exact"
    ) -> SaturableAbsorber:
        """The activation of a measured element.

        Args:
            curve: What leaves for what enters.
            encoding: Whether a value is a signed field or an intensity, 0 or above.
            gradient: What is multiplied by backwards.

        Raises:
            ValueError: There is no such encoding or gradient.
        """
        absorber = cls(encoding=encoding, gradient=gradient)
        absorber.curve = curve
        return absorber

    @property
    def gradient(self) -> Gradient:
        """What is multiplied by backwards."""
        return self._gradient

    @gradient.setter
    def gradient(self, name: Gradient) -> None:
        _check_name("a gradient of an absorber", name, get_args(Gradient))
        self._gradient = name

    def medium(self) -> Medium:
        """What the light meets, as trained so far; numbers that train are tensors [].

        Raises:
            ValueError: The element is a measured one.
        """
        if self.curve is not None:
            raise ValueError("a measured absorber has no optical depth; take its `curve`")
        medium = self._fixed
        if self.log_depth is not None:
            sign = math.copysign(1.0, float(medium.optical_depth))
            medium = medium._replace(optical_depth=sign * self.log_depth.exp())
        if self.log_saturation is not None:
            medium = medium._replace(saturation=self.log_saturation.exp())
        return medium

    def respond(self, x: Tensor, probe: Tensor | float = 0.0) -> Response:
        """What leaves, and what backward light is multiplied by, without a graph.

        Args:
            x: [...] fields or intensities.
            probe: Intensity of light that enters from the other side at the same time.

        Raises:
            TypeError: `x` is not of real floating-point numbers.
            RequestError: There is NaN or a negative intensity in it, or a probe meets a measured element.
        """
        try:
            response = self._respond(x, probe)
        except ValueError as problem:
            raise RequestError(f"A saturable absorber refuses its light: {problem}.") from problem
        if self.gradient not in _CONSTANTS:
            return response
        return Response(response.output, x.new_full((), _CONSTANTS[self.gradient]).expand_as(x))

    @property
    def half_transmission_field(self) -> float:
        """The value at which light begins to pass.

        Half of the field (or intensity) then passes, of what the residual loss lets through; it is at least the
        saturation field (or intensity). Of a measured element it is where the output reaches half of its largest.
        """
        with torch.no_grad():
            if self.curve is not None:
                return self._half_transmission_of_curve(self.curve)
            return self._half_transmission_of_medium()

    def forward(self, x: Tensor) -> Tensor:
        """[...] fields or intensities that leave, of those that enter."""
        medium = None if self.curve is not None else self.medium()
        if not eager() or forward_mode():
            return self._followed(x, medium)
        if medium is None:
            return absorb(x, None, None, self)
        return absorb(x, medium.optical_depth, medium.saturation, self)

    def extra_repr(self) -> str:
        """Everything that was asked for."""
        if self.curve is not None:
            what = f"curve of {len(self.curve.knots)} points, encoding={self.encoding!r}"
        else:
            with torch.no_grad():
                depth, saturation, residual, form, broadening = self.medium()
            what = (
                f"optical_depth={_shown(depth)}, saturation_intensity={_shown(saturation)}, form={form!r}, "
                f"encoding={self.encoding!r}, broadening={broadening!r}, residual={residual:g}"
            )
        return f"{what}, gradient={self.gradient!r}"

    def _parameter(self, value: float, trains: bool) -> nn.Parameter | None:
        return nn.Parameter(torch.tensor(math.log(value))) if trains else None

    def _respond(self, x: Tensor, probe: Tensor | float) -> Response:
        if self.curve is not None:
            return self._measured(x, self.curve, probe)
        slope: Literal["exact", "probe"] = "exact" if self.gradient == "exact" else "probe"
        return respond(x, self.medium(), self.encoding, slope, probe)

    def _followed(self, x: Tensor, medium: Medium | None) -> Tensor:
        """The same by operations that torch follows in whatever way it wants to."""
        output, weak = self._with_graph(x, medium)
        if self.gradient == "exact":
            return output
        factor = weak if self.gradient == "probe" else torch.full_like(x, _CONSTANTS[self.gradient])
        own = self._with_graph(x.detach(), medium)[0]  # to the medium itself gradients are exact
        if torch.compiler.is_compiling():  # no derivatives of derivatives there
            return own + factor.detach() * torch.where(x.isinf(), 0, x - x.detach())
        return with_slope(own, factor, x)

    def _with_graph(self, x: Tensor, medium: Medium | None) -> tuple[Tensor, Tensor]:
        """Output, and what a weak beam from the other side is left with."""
        if medium is not None:
            return transmit(x, medium, self.encoding)
        assert self.curve is not None
        output = follow(x, self.curve)
        plain = (x != 0) & ~x.isinf()
        quotient = torch.where(plain, output, 1) / torch.where(plain, x, 1)
        return output, torch.where(plain, quotient, secant(x, output, self.curve))

    def _measured(self, x: Tensor, curve: Curve, probe: Tensor | float) -> Response:
        if isinstance(probe, Tensor) or probe != 0:
            raise ValueError(
                "a measured curve says nothing about a second beam; leave `probe` at 0, or take an absorber of known "
                "optical depth"
            )
        if self.encoding == "intensity" and has_numbers(x) and bool((x < 0).any()):
            raise ValueError(
                "an intensity is 0 or above, and a negative one entered a measured element; keep weights at 0 or "
                'above, or encode signed values as fields (encoding="amplitude")'
            )
        output, slope = evaluate(x, curve)
        return Response(output, slope if self.gradient == "exact" else secant(x, output, curve))

    def _half_transmission_of_medium(self) -> float:
        medium = self.medium()
        half = math.log(4) if self.encoding == "amplitude" else math.log(2)
        missing = -half - medium.residual - log_transmission(_SATURATION_GRID, medium._replace(saturation=1.0))
        first = int((missing <= 0).int().argmax())
        s = float(_SATURATION_GRID[first])
        if first > 0:
            before, after = (float(value) for value in missing[first - 1 : first + 1])
            s *= float(_SATURATION_GRID[1]) ** (after / (before - after))
        power = 0.5 if self.encoding == "amplitude" else 1.0
        return float((s * float(medium.saturation)) ** power)

    def _half_transmission_of_curve(self, curve: Curve) -> float:
        grid = torch.linspace(0, float(curve.knots[-1]), 4001, dtype=torch.float64)
        output = evaluate(grid, curve)[0].abs()
        return float(grid[int((output >= output.max() / 2).int().argmax())])


def _shown(number: float | Tensor) -> str:
    return "meta" if isinstance(number, Tensor) and number.is_meta else f"{float(number):g}"


def _check_name(what: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise ValueError(f"`{name}` is not {what}. {nearest(name, names)}")
