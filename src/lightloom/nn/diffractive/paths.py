"""Many optical paths side by side, forwards and back, in blocks that fit into a given memory.

A mask changes light within its window only, so each path carries the light that its masks have scattered on top of what
all paths of an input share. Transforms are orthonormal: the adjoint of spreading a window over the spectrum is to take
the window back out of it, and the way back of a gradient is light through the same optics.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.physics.diffraction import Detector, detect, shot_noise
from lightloom.physics.execution import eager, forward_mode, has_numbers, is_batch

_GRIDS = 4
"""Fields of the whole grid that a path takes at once: its spectrum, the next one, and what a transform copies."""
_CACHE_MB = 8.0
"""What a processor's cache holds of a block: larger ones are computed no faster, smaller ones in too many calls."""


class Optics(NamedTuple):
    """What the light of every path meets. The window of every plane begins at the first sample of the grid."""

    ways: Tensor
    """[K + 1, columns, rows] complex transfer functions: to the first mask, between masks, to the detector. Spectra are
    held transposed, so that each transform runs along neighbours in memory."""
    mask: tuple[int, int]
    """Samples of a mask."""
    view: tuple[int, int]
    """Samples of the input and of the detector."""
    amplitude: float
    """Amplitude transmission of a mask within its window."""
    detector: Detector
    photons: float | None
    """Mean count of a pixel at |u| = 1; None is no shot noise."""


class Block(NamedTuple):
    """Paths that are computed at once."""

    outputs: slice
    inputs: slice
    seed: int
    """Seed of the shot noise of this block."""


class Light(NamedTuple):
    """Light in front of the first masks, of a block's inputs."""

    spectrum: Tensor
    """[batch, 1, inputs, columns, rows]."""
    field: Tensor
    """[batch, 1, inputs, n, m] in the window."""


class Plan(NamedTuple):
    """How paths are computed in turn."""

    blocks: tuple[Block, ...]
    keep: bool
    """Whether light in the windows of masks and detectors is kept for the way back, else it is computed again."""


def plan(x: Tensor, outputs: int, optics: Optics, memory_mb: float, seed: int = 0) -> Plan:
    """Cut the paths of [batch, inputs, h, w] to so many outputs into blocks whose complex fields fit into `memory_mb`.

    Inputs are split only where one output alone takes more. A block has at least one path, with the whole batch.

    Args:
        x: The fields that enter.
        outputs: Paths of every input.
        optics: What they meet.
        memory_mb: Bound in units of 2^20 bytes.
        seed: Of the first block's shot noise.
    """
    inputs, memory = x.shape[1], memory_mb * 2**20
    number = optics.ways.element_size()
    sample, grid = number * max(len(x), 1), optics.ways[0].numel()
    masks = (len(optics.ways) - 1) * math.prod(optics.mask)
    windows = sample * (masks + math.prod(optics.view))
    keep = 2 * windows * outputs * inputs <= memory
    free = memory - windows * outputs * inputs if keep else memory
    if x.device.type == "cpu":
        free = min(free, _CACHE_MB * 2**20)
    path, lit = _GRIDS * sample * grid + 2 * windows + 2 * number * masks, 2 * sample * grid
    wide = min(inputs, max(1, int(free / (path + lit))))
    high = min(outputs, max(1, int((free / wide - lit) / path)))
    cuts = [
        (slice(o, min(o + high, outputs)), slice(i, min(i + wide, inputs)))
        for i in range(0, inputs, wide)
        for o in range(0, outputs, high)
    ]
    return Plan(tuple(Block(*cut, seed + index) for index, cut in enumerate(cuts)), keep)


def detected(x: Tensor, turns: Tensor, weight: Tensor | None, optics: Optics, plan: Plan) -> Tensor:
    """Send every input through the masks of each of its paths, and detect it.

    Derivatives are exact, those of counting photons are straight-through. Blocks save time and memory where first
    derivatives are taken backwards. Whatever else is asked for is computed by plain operations of torch, all paths at
    once: programs that are recorded, transforms of `torch.func`, derivatives forwards, by the ways and of higher order.

    Args:
        x: [batch, inputs, h, w] real fields that enter.
        turns: [outputs, inputs or 1, K, n, m] phases of masks in turns; 1 where all inputs meet the same.
        weight: [outputs, inputs] that detected light is multiplied by before it is summed over inputs, or None.
        optics: What the light meets.
        plan: In which order.

    Returns:
        [batch, outputs, h, w], or [batch, outputs, inputs, h, w] without a weight.
    """
    if optics.ways.requires_grad or not eager() or forward_mode():
        return _at_once(x, turns, weight, optics)
    output: Tensor = _Detected.apply(x, turns, weight, optics, plan)  # type: ignore[no-untyped-call]
    return output


class _Detected(torch.autograd.Function):
    """Light forwards; backwards gradients as light, block by block."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, turns: Tensor, weight: Tensor | None, optics: Optics, plan: Plan) -> Tensor:
        sizes = (len(x), len(turns)) if weight is not None else (len(x), len(turns), x.shape[1])
        out = x.new_zeros(*sizes, *optics.view)
        stored: list[Tensor] = []
        keep = plan.keep and any(ctx.needs_input_grad)
        for block, light in _lit(x, optics, plan):
            fields = _pass(light, _masks(turns, block, optics), optics)
            intensity = _see(fields[-1], optics, block)
            if weight is None:
                out[:, block.outputs, block.inputs] = intensity
            else:
                out[:, block.outputs] += (intensity * _of(weight, block)).sum(2)
            stored += fields if keep else ()
        ctx.save_for_backward(x, turns, weight, *stored)
        ctx.optics, ctx.plan = optics, plan
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, turns, weight, *stored = ctx.saved_tensors
        optics: Optics = ctx.optics
        if torch.is_grad_enabled() or not eager() or is_batch(grad):
            return *_gradients(grad, (x, turns, weight), ctx.needs_input_grad[:3], optics), None, None
        by_x, by_turns = torch.zeros_like(x), torch.zeros_like(turns)
        by_weight = None if weight is None else torch.zeros_like(weight)
        for block, masks, fields in _again(x, turns, stored, optics, ctx.plan):
            beam, slopes = _sent_back(grad, fields[-1], weight, optics, block)
            if by_weight is not None and slopes is not None:
                by_weight[block.outputs, block.inputs] = slopes
            back, phases = _return(beam, fields, masks, optics)
            by_x[:, block.inputs] += back
            _slot(by_turns, block).add_(phases.sum_to_size(_slot(by_turns, block).shape))
        return by_x, by_turns, by_weight, None, None


def _at_once(x: Tensor, turns: Tensor, weight: Tensor | None, optics: Optics) -> Tensor:
    """Compute as `detected`, by operations that torch follows in whatever way it wants to."""
    angle = 2 * math.pi * turns.movedim(2, 0)
    masks = torch.complex(optics.amplitude * angle.cos(), optics.amplitude * angle.sin())
    spectrum = (_spread(x, optics) * optics.ways[0]).unsqueeze(1)
    field = _window(spectrum, optics.mask)
    for k, mask in enumerate(masks.unbind()):
        spectrum = (_spread((mask - 1) * field, optics) + spectrum) * optics.ways[k + 1]
        field = _window(spectrum, optics.view if k == len(masks) - 1 else optics.mask)
    intensity = detect(field, optics.detector)
    if optics.photons is not None:
        intensity = shot_noise(intensity, optics.photons, optics.detector)
    return intensity if weight is None else (intensity * weight[:, :, None, None]).sum(2)


def _gradients(
    grad: Tensor, inputs: tuple[Tensor | None, ...], needs: tuple[bool, ...], optics: Optics
) -> list[Tensor | None]:
    """Gradients by the inputs of `detected` that can themselves be differentiated, or mapped over."""
    if optics.photons is not None:
        raise RuntimeError(
            "with shot noise, diffractive paths have first derivatives only, one after the other; leave `create_graph` "
            "or `is_grads_batched` out, or set `photons` to None"
        )
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # views stand apart from each other, even where one input was computed from another
        views = [None if x is None else x.view_as(x) if again else x.detach().requires_grad_() for x in inputs]
        sources = [view for view, need in zip(views, needs, strict=True) if need and view is not None]
        x, turns, weight = views
        assert x is not None and turns is not None
        slopes = iter(torch.autograd.grad(_at_once(x, turns, weight, optics), sources, grad, create_graph=again))
    return [next(slopes) if need else None for need in needs]


def _lit(x: Tensor, optics: Optics, plan: Plan) -> Iterator[tuple[Block, Light]]:
    """Each block with the light in front of its first masks, made once for the same inputs."""
    before, light = None, None
    for block in plan.blocks:
        if light is None or before != block.inputs:
            light = None  # frees the one before
            spectrum = _spread(x[:, block.inputs], optics).mul_(optics.ways[0]).unsqueeze(1)
            before, light = block.inputs, Light(spectrum, _window(spectrum, optics.mask))
        yield block, light


def _again(
    x: Tensor, turns: Tensor, stored: list[Tensor], optics: Optics, plan: Plan
) -> Iterator[tuple[Block, Tensor, list[Tensor]]]:
    """Each block with its masks and fields, which were kept or are computed again."""
    planes = len(optics.ways)
    if stored:
        for index, block in enumerate(plan.blocks):
            yield block, _masks(turns, block, optics), stored[index * planes : (index + 1) * planes]
    else:
        for block, light in _lit(x, optics, plan):
            masks = _masks(turns, block, optics)
            yield block, masks, _pass(light, masks, optics)


def _pass(light: Light, masks: Tensor, optics: Optics) -> list[Tensor]:
    """Fields [batch, outputs, inputs, ...] in the windows of masks and detector; all outputs share the first."""
    spectrum, fields = light.spectrum, [light.field]
    last = len(masks) - 1
    for k, mask in enumerate(masks):
        spectrum = _spread((mask - 1) * fields[-1], optics).add_(spectrum).mul_(optics.ways[k + 1])
        fields.append(_window(spectrum, optics.view if k == last else optics.mask))
    return fields


def _return(beam: Tensor, fields: list[Tensor], masks: Tensor, optics: Optics) -> tuple[Tensor, Tensor]:
    """Gradients by the real input [batch, inputs, h, w] and by the turns [outputs, inputs, K, n, m] of a block."""
    slopes, spectrum = [], None
    for k in reversed(range(len(masks))):
        spread = _spread(beam, optics)
        spectrum = (spread if spectrum is None else spread.add_(spectrum)).mul_(optics.ways[k + 1].conj())
        field = _window(spectrum, optics.mask)
        through = field * masks[k].conj()
        slopes.append((fields[k].real * through.imag - fields[k].imag * through.real).sum(0))
        beam = through.sub_(field)
    assert spectrum is not None  # there is at least one mask
    entered = (spectrum.sum(1) + _spread(beam.sum(1), optics)).mul_(optics.ways[0].conj())
    return _window(entered, optics.view).real, torch.stack(slopes[::-1], 2).mul_(2 * math.pi)


def _sent_back(
    grad: Tensor, field: Tensor, weight: Tensor | None, optics: Optics, block: Block
) -> tuple[Tensor, Tensor | None]:
    """Gradients by the field at the detectors, and by the weights of a block."""
    with torch.enable_grad():
        field = field.detach().requires_grad_()
        intensity = _see(field, optics, block)
    if weight is None:
        (beam,) = torch.autograd.grad(intensity, field, grad[:, block.outputs, block.inputs])
        return beam, None
    grad = grad[:, block.outputs].unsqueeze(2)
    (beam,) = torch.autograd.grad(intensity, field, grad * _of(weight, block))
    return beam, (intensity.detach() * grad).sum((0, 3, 4))


def _see(field: Tensor, optics: Optics, block: Block) -> Tensor:
    intensity = detect(field, optics.detector)
    if optics.photons is None:
        return intensity
    # drawn again alike on the way back
    generator = torch.Generator(field.device).manual_seed(block.seed) if has_numbers(field) else None
    return shot_noise(intensity, optics.photons, optics.detector, generator)


def _masks(turns: Tensor, block: Block, optics: Optics) -> Tensor:
    """Transmissions [K, outputs, inputs, n, m] of the field."""
    angle = _slot(turns, block).movedim(2, 0).mul(2 * math.pi)
    real, imaginary = angle.cos(), angle.sin_()  # several times as fast as `torch.polar`
    return torch.complex(real.mul_(optics.amplitude), imaginary.mul_(optics.amplitude))


def _slot(turns: Tensor, block: Block) -> Tensor:
    return turns[block.outputs] if turns.shape[1] == 1 else turns[block.outputs, block.inputs]


def _of(weight: Tensor, block: Block) -> Tensor:
    return weight[block.outputs, block.inputs, None, None]


def _spread(window: Tensor, optics: Optics) -> Tensor:
    """The spectrum on the whole grid of light that is in a window alone; rows without light are not transformed."""
    columns, rows = optics.ways.shape[1:]
    spread: Tensor = torch.fft.fft(torch.fft.fft(window, columns, norm="ortho").mT, rows, norm="ortho")
    return spread


def _window(spectrum: Tensor, size: tuple[int, int]) -> Tensor:
    """The light in a window, of its spectrum; a copy, so that the rest is freed."""
    columns = torch.fft.ifft(spectrum, norm="ortho")[..., : size[0]].mT
    window: Tensor = torch.fft.ifft(columns, norm="ortho")[..., : size[1]].contiguous()
    return window
