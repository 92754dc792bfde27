"""A layer of a convolutional network whose maps are images that diffract through phase masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.chips import DiffractiveChip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, nearest
from lightloom.nn.diffractive.axis import OpticalAxis, log_stretch
from lightloom.physics import diffraction

Mixing = Literal["dense", "grouped", "depthwise", "shared"]
"""dense: an optical path for each pair of an input and an output (published); grouped: the same within groups of
channels; depthwise: one path per input, mixed by electronic weights; shared: the same with one set of masks for all."""


class DiffractiveConv2d(nn.Module):
    """Channels as coherent images that diffract through phase masks, are detected, weighted and summed.

    A path takes its input channel in the middle of the chip's grid over z1 to the first mask and over z2 from each mask
    to the next plane; the detector sees as many samples as the map has. y[o] = sum over c of weight[o, c] (detected +
    bias), with masks of each (o, c) or of each c. Dense and grouped follow PHOENIX, stage 3 of which has 236 million
    phases; depthwise has the cost of its inputs alone.

    Parameters: `turns`, phases in turns, start uniform in 0 ... 2: [out, in, K, N, N] dense, [out, in / groups, K, N,
    N] grouped, [in, K, N, N] depthwise, [K, N, N] shared. `weight` [out, in or in / groups] starts normal with a
    standard deviation of 0.1 around 0 (published: around 1, which makes all outputs of |u|^2 alike). `bias` starts at
    -0.1: [out], where each input has one path [in].

    The noises of `chip.noise_in` are drawn once per forward pass from torch's global generators. What a chip hides, its
    misalignment, belongs to the hardware and is never saved with the parameters: see `align`.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        chip: Grid, masks, distances, detector and imperfections.
        mixing: Which paths there are.
        groups: Of channels, for "grouped".
        bias: Whether an electronic bias is added to what is detected, before it is weighted.
        learn_distance: Whether the K + 1 distances train, too: `log_stretch` [K + 1], the logarithms of what they are
            over those of the chip, is then a parameter that starts at 0, and `distances` says what they are in m. All
            paths are then computed at once, whatever `memory_mb` says.
        check: What is done where the chip's grid is too small for its distances (`chip.critical_distance`): a
            `SamplingWarning`, a RequestError ("refuse") or nothing ("ignore").

    Shapes: [batch, in_channels, h, w] -> [batch, out_channels, h, w], with h and w up to the chip's grid.

    Raises:
        RequestError: There is no such mixing, channels do not divide into groups, a number is below its least, a grid
            is refused, or a distance of 0 is to train.
    """

    bias: nn.Parameter | None
    log_stretch: nn.Parameter | None

    @checked
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        chip: DiffractiveChip,
        *,
        mixing: Mixing = "dense",
        groups: int = 1,
        bias: bool = False,
        learn_distance: bool = False,
        check: diffraction.Check = "warn",
    ) -> None:
        super().__init__()
        _check(in_channels, out_channels, mixing, groups)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.mixing: Mixing = mixing
        self.groups = groups
        self._memory_mb = 256.0
        self._axis = OpticalAxis(chip, check)
        per_input = mixing in ("depthwise", "shared")
        paths = {"shared": (), "depthwise": (in_channels,)}.get(mixing, (out_channels, in_channels // groups))
        self.turns = nn.Parameter(torch.empty(*paths, chip.layers, chip.mask, chip.mask))
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups))
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(in_channels if per_input else out_channels)) if bias else None
        )
        self.register_parameter("log_stretch", log_stretch(self._axis) if learn_distance else None)
        self.reset_parameters()

    @property
    def memory_mb(self) -> float:
        """Bound on the complex fields of one pass (2^20 bytes; phases and maps are not counted); may be set.

        Paths beyond it are computed in turn, and again on the way back, with the same results; but with `photons` the
        noise of each turn is drawn for itself. One path with the whole batch is the least.
        """
        return self._memory_mb

    @memory_mb.setter
    def memory_mb(self, bound: float) -> None:
        if not bound > 0:
            raise RequestError(f"`memory_mb` is {bound:g}; light takes some memory, give more than 0.")
        self._memory_mb = float(bound)

    def reset_parameters(self) -> None:
        """Draw phases and weights anew."""
        nn.init.uniform_(self.turns, 0.0, 2.0)
        nn.init.normal_(self.weight, 0.0, 0.1)
        if self.bias is not None:
            nn.init.constant_(self.bias, -0.1)
        if self.log_stretch is not None:
            nn.init.zeros_(self.log_stretch)

    @property
    def chip(self) -> DiffractiveChip:
        """Grid, masks, distances, detector and imperfections; another one may be set, with masks of the same size."""
        return self._axis.chip

    @chip.setter
    def chip(self, chip: DiffractiveChip) -> None:
        self._axis = self._axis.changed(chip)

    @property
    def distances(self) -> Tensor:
        """The K + 1 distances in m, float64: to the first mask, between masks, to the detector; with their graph."""
        return self._axis.lengths(self.turns, self.log_stretch)

    @property
    def optical_paths(self) -> int:
        """Ways of light from an input to a detector, for one image."""
        return self.in_channels if self._per_input else self.weight.numel()

    @property
    def optical_parameters(self) -> int:
        """Phases of all masks."""
        return self.turns.numel()

    @property
    def offsets(self) -> tuple[tuple[float, float], ...]:
        """Displacement of each mask from its place, (dy, dx) in pixels."""
        return self._axis.offsets

    def align(self, offsets: Sequence[tuple[float, float]]) -> None:
        """Put each mask (dy, dx) pixels from its place, as `chip.offsets(seed)` draws for a manufactured chip.

        Raises:
            RequestError: There are not as many offsets as masks.
        """
        self._axis.align(offsets)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_channels, h, w] real fields -> [batch, out_channels, h, w].

        Raises:
            RequestError: The map is larger than the grid, or channels or number format do not fit.
        """
        x = self._entering(x)
        noisy = self._axis.noisy(self.training)
        turns = self._axis.realise(self.turns, noisy)
        if self._per_input:
            turns = turns.reshape(1, -1, *turns.shape[-3:])
            intensity = self._detect(x, turns, None, noisy, self.memory_mb).squeeze(1)
            return F.conv2d(
                intensity, self.weight[:, :, None, None], None if self.bias is None else self.weight @ self.bias
            )
        memory_mb = self.memory_mb / self.groups  # each may keep light for the way back
        cut = zip(x.chunk(self.groups, 1), turns.chunk(self.groups), self.weight.chunk(self.groups), strict=True)
        intensity = torch.cat([self._detect(*group, noisy, memory_mb) for group in cut], 1)
        return intensity if self.bias is None else intensity + (self.bias * self.weight.sum(1))[:, None, None]

    @torch.no_grad()
    def fields(self, x: Tensor, paths: int = 4) -> Tensor:
        """Intensities in all planes, for pictures: the input, in front of the first mask, and behind each z2.

        Without noise, whatever the mode.

        Args:
            x: [batch, in_channels, h, w].
            paths: How many, from the first on: paths of output 0, then of output 1, and so on.

        Returns:
            [K + 2, batch, paths, M, M], as many paths as there are at most.
        """
        x = self._entering(x)
        count = min(paths, self.optical_paths)
        inputs = torch.arange(count)
        if not self._per_input:
            per_group = (self.out_channels // self.groups, self.in_channels // self.groups)
            inputs = inputs % per_group[1] + inputs // math.prod(per_group) * per_group[1]
        turns = self.turns.reshape(-1, *self.turns.shape[-3:])[:count].expand(count, -1, -1, -1)
        return self._axis.planes(x[:, inputs], self._axis.realise(turns, noisy=False), self.log_stretch)

    def extra_repr(self) -> str:
        """Channels, paths and chip, for printing a model."""
        groups = f", groups={self.groups}" if self.mixing == "grouped" else ""
        return (
            f"{self.in_channels}, {self.out_channels}, {self.mixing}{groups}, paths={self.optical_paths}, "
            f"phases={self.optical_parameters}, chip={self.chip.name!r}"
        )

    def _detect(self, x: Tensor, turns: Tensor, weight: Tensor | None, noisy: bool, memory_mb: float) -> Tensor:
        return self._axis.detect(x, turns, weight, noisy=noisy, memory_mb=memory_mb, log_stretch=self.log_stretch)

    def _entering(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.in_channels or 0 in x.shape:
            raise RequestError(f"Expected maps [batch, {self.in_channels}, h, w], got {list(x.shape)}.")
        return self._axis.check(x, self.turns)

    @property
    def _per_input(self) -> bool:
        return self.mixing in ("depthwise", "shared")


def _check(inputs: int, outputs: int, mixing: str, groups: int) -> None:
    if mixing not in get_args(Mixing):
        raise RequestError(f"There is no mixing `{mixing}`. {nearest(mixing, get_args(Mixing))}")
    if min(inputs, outputs, groups) < 1:
        raise RequestError(
            f"{inputs} -> {outputs} channels in {groups} groups; expected at least one channel and group."
        )
    if groups > 1 and mixing != "grouped":
        raise RequestError(
            f'{groups} groups go with `mixing="grouped"`, got `{mixing}`; leave `groups` out, or set it.'
        )
    if inputs % groups or outputs % groups:
        raise RequestError(
            f"{inputs} -> {outputs} channels do not divide into {groups} groups; take a number that divides both."
        )
