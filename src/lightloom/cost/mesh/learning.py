"""What learning in the subspace takes on the chip: calls, steps, energy and time.

Counts follow L2ight (Gu et al., NeurIPS 2021, section 3.4, and its released profiler), per layer with p x q blocks of
size k in each of its groups, n input vectors (images times output positions) and sparsities as in `Sampling`:

* forward: A n products of one block and one vector, A the blocks in use; (m - 1) n + ceil(n / k) steps, m the most
  blocks in a row. k wavelengths pass at once and k adders add the blocks of a row one after the other.
* gradient of sigma: V x and U^T dy, 2 p q products for each of the C sampled vectors; 4 C steps.
* error feedback: A n products W^T dy, none at the first layer, behind which nothing trains. Its steps are those of the
  forward pass, m the most blocks in a column; where kernels overlap, those of the sums over channels and positions,
  ceil(inputs / k) ceil(log2 2k) ceil(m / 2) n.

Two things are mended. The published profiler counts U^T dy for convolutions alone and multiplies the steps of a
linear layer, already summed over the batch, by the batch once more: here both kinds of layer follow the same formula.
And it divides a convolution's channels by the number of block rows where the block size is meant. Light runs backwards
through the same cores, so W^T dy takes one product per output position, also where a stride makes them fewer than
the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeGuard

from lightloom.common.arguments import checked
from lightloom.cost import energy
from lightloom.cost.mesh.phases import holding_power
from lightloom.cost.trace import LayerUse
from lightloom.learn.sampling import Sampling
from lightloom.nn import Counts, MeshCore, OpticalLayer
from lightloom.nn.convolutions import ConvolutionLayer
from lightloom.nn.gradient_sampler import LayerSampling, block_norms
from lightloom.physics import sampling as masks
from lightloom.physics.sampling import BlockMode

PHASES = ("forward", "sigma_gradient", "error_feedback")
_RESETTINGS = 3
ASSUMPTIONS = (
    "Meshes are reset three times per training step, all layers at once: U to the identity, V to the identity, and "
    "both back with the new singular values; each takes the settling time of a phase shifter.",
    "Layers follow one another; every pass of a layer adds a symbol to modulate and one to detect.",
    "Rank sampling saves nothing: light passes all singular values of a block at once.",
    "Norms, activations, the optimiser and a teacher are electronic and not counted.",
)


@dataclass(frozen=True)
class PassCost:
    """What one layer does in one kind of pass, over a whole training."""

    layer: str
    """Name of the layer."""
    phase: str
    """Kind of pass, one of `PHASES`."""
    products: int
    """Number of products of one block and one vector; the published count of core calls."""
    calls: int
    """Number of evaluations of one block with up to k vectors, one per wavelength."""
    steps: int
    """Number of steps of the slowest block row: optical evaluations and electronic sums."""
    energy_j: float
    """Energy in J of light, modulators, detectors and the laser's wall plug; not what holds the phases."""
    time_s: float
    """Time in s."""


@dataclass(frozen=True)
class LearningCost:
    """What a training takes on the chip."""

    work: list[PassCost]
    """What each layer does in each kind of pass."""
    totals: dict[str, dict[str, float]]
    """Sums of `products`, `calls`, `steps`, `energy_j`, `time_s` by phase, and of all under "all"."""
    training_steps: int
    resetting_s: float
    """Time in which meshes settle."""
    holding_j: float
    """Energy that holds the phases meanwhile."""
    energy_j: float
    time_s: float
    assumptions: list[str]

    @property
    def calls(self) -> dict[str, int]:
        """Calls by phase, and of all as `chip_calls`; one carries k vectors, but never of two training steps."""
        by_phase = {phase: int(self.totals[phase]["calls"]) for phase in PHASES}
        return {**by_phase, "chip_calls": sum(by_phase.values())}

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@checked
def learning_cost(
    uses: Sequence[LayerUse], images: int, sampling: Sampling | None = None, batch_size: int = 1
) -> LearningCost:
    """Cost of subspace learning.

    Args:
        uses: Layers in the order of the model, see `trace`.
        images: Training images, all epochs together.
        sampling: What is sampled; None is nothing. Random masks count with their density, and the fullest row of a
            uniform mask with its mean.
        batch_size: Images per training step.

    Raises:
        ValueError: A layer is on no meshes.
    """
    sampling = Sampling() if sampling is None else sampling
    batch_size = max(1, min(batch_size, images))
    steps = images / batch_size * (1 - sampling.smd)
    batch = batch_size * (1 - sampling.information)
    work = [
        _priced(row, use, steps)
        for number, use in enumerate(uses)
        for row in _layer(use, sampling.of_layer(use.layer, first=number == 0), batch, first=number == 0)
    ]
    totals = {phase: _sum([row for row in work if row.phase == phase]) for phase in PHASES}
    totals["all"] = _sum(work)
    settling = max((_core(use.layer).chip.devices.shifter_time.value for use in uses), default=0.0)
    resetting = _RESETTINGS * settling * steps
    time = totals["all"]["time_s"] + resetting
    holding = time * sum(holding_power(_core(use.layer).state(), _core(use.layer).chip) for use in uses)
    whole = totals["all"]["energy_j"] + holding
    return LearningCost(work, totals, round(steps), resetting, holding, whole, time, list(ASSUMPTIONS))


@dataclass(frozen=True)
class _Pass:
    """One kind of pass of one layer in one training step."""

    phase: str
    blocks: float
    """Blocks that light passes, both directions of the gradient of sigma counted."""
    vectors: int
    steps: int
    values_in: float
    values_out: float


def _layer(use: LayerUse, sampling: LayerSampling, batch: float, *, first: bool) -> list[_Pass]:
    core, size = _core(use.layer), use.layer.chip.block_size
    groups, p, q = core.blocks
    vectors = round(batch * use.vectors)
    blocks_used, row = _in_use(use.layer, sampling.forward, sampling.forward_mode, dim=-1)
    passes = [
        _Pass(
            "forward",
            blocks_used,
            vectors,
            (row - 1) * vectors + math.ceil(vectors / size),
            vectors * groups * core.columns,
            vectors * blocks_used * core.rows / p,
        )
    ]
    every = groups * p * q
    part = 1.0 if _pixelwise(use.layer) else 1 - sampling.spatial
    positions = round(vectors * (1 - sampling.column) * part)
    ends = groups * (core.rows + core.columns)
    passes.append(
        _Pass("sigma_gradient", 2 * every, positions, 4 * positions, positions * ends, positions * 2 * every * size)
    )
    if first:
        return passes
    sparsity, mode, dim = sampling.feedback, sampling.feedback_mode, -2
    if sampling.forward:
        sparsity, mode, dim = sampling.forward, sampling.forward_mode, -1
    blocks_used, column = _in_use(use.layer, sparsity, mode, dim=dim, fullest=-2)
    steps = (column - 1) * vectors + math.ceil(vectors / size)
    if _pixelwise(use.layer):
        inputs = use.layer.in_channels
        steps = math.ceil(inputs / size) * math.ceil(math.log2(2 * size)) * math.ceil(column / 2) * vectors
    out = vectors * blocks_used * core.columns / q
    passes.append(_Pass("error_feedback", blocks_used, vectors, steps, vectors * groups * core.rows, out))
    return passes


def _core(layer: OpticalLayer) -> MeshCore:
    if not isinstance(layer.core, MeshCore):
        raise ValueError(
            f"core `{layer.core.name}` is no mesh; learning in the subspace of singular values takes meshes"
        )
    return layer.core


def _pixelwise(layer: OpticalLayer) -> TypeGuard[ConvolutionLayer]:
    """Whether the kernel meets a pixel more than once, so that leaving out pixels spares no vector."""
    return isinstance(layer, ConvolutionLayer) and any(width != 1 for width in layer.kernel_size)


def _in_use(
    layer: OpticalLayer, sparsity: float, mode: BlockMode, *, dim: int, fullest: int | None = None
) -> tuple[float, int]:
    """Blocks that a mask keeps, and the most of them along rows (-1) or columns (-2)."""
    groups, p, q = layer.core.blocks
    fullest = dim if fullest is None else fullest
    length = q if fullest == -1 else p
    if sparsity == 0:
        return groups * p * q, length
    if mode == "uniform":
        return groups * p * q * (1 - sparsity), masks.kept_count(length, sparsity)
    mask = masks.blocks(block_norms(_core(layer)), sparsity, mode, dim)
    return int(mask.sum()), int(mask.sum(fullest).max())


def _priced(row: _Pass, use: LayerUse, steps: float) -> PassCost:
    core, chip = _core(use.layer), _core(use.layer).chip
    cores = core.blocks[0] * core.blocks[1] * core.blocks[2]
    calls = round(row.blocks * math.ceil(row.vectors / chip.block_size))
    counts = Counts(cores, 0, 0, calls, round(row.values_in), round(row.values_out))
    joules = energy.layer_energy(counts, chip, 0.0, 0.0)
    # light is on as long as the fullest block computes: both directions of the gradient take their turn
    turns = 2 if row.phase == "sigma_gradient" else 1
    time = turns * (math.ceil(row.vectors / chip.block_size) / chip.devices.symbol_rate.value)
    time += turns * energy.converter_time(chip)
    return PassCost(
        layer=use.name,
        phase=row.phase,
        products=round(row.blocks * row.vectors * steps),
        calls=round(calls * steps),
        steps=round(row.steps * steps),
        energy_j=sum(joules) * steps,
        time_s=time * steps,
    )


def _sum(work: Sequence[PassCost]) -> dict[str, float]:
    return {
        name: sum(getattr(row, name) for row in work) for name in ("products", "calls", "steps", "energy_j", "time_s")
    }
