"""Get to know a chip from a few dozen calls, and make its blocks what they should be."""

import torch

from lightloom import chips
from lightloom.lab.mesh.identify import identify
from lightloom.lab.mesh.in_situ_mapping import map_targets
from lightloom.lab.mesh.instrument import specimen_instrument
from lightloom.lab.mesh.mapping import ideal_settings

torch.manual_seed(0)
chip = chips.preset("l2ight").replace(block_size=6)
targets = torch.randn(8, 6, 6, dtype=torch.float64)
instrument = specimen_instrument(chip, blocks=8, specimen=3, readout_std=0.001)


def distance(gain: torch.Tensor) -> float:
    """Mean of ||realised - target||^2 / ||target||^2, as read."""
    realised = gain.view(-1, 1, 1) * instrument.matrices()
    return float(((realised - targets).square().sum((1, 2)) / targets.square().sum((1, 2))).mean())


settings, gain = ideal_settings(chip, targets)
instrument.program(settings)
print(f"programmed as if it were perfect: {distance(gain):.3f}")

known = identify(instrument)
bias = known.std.u_bias.mean()
print(f"identified in {known.calls} calls: biases to {bias:.4f} rad, readout noise {known.readout:.4f}")

mapped = map_targets(instrument, known, targets)
print(f"mapped in {mapped.calls} more: {distance(mapped.gain):.5f}")
