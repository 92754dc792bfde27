"""Light through phase masks: a layer of a network, what it does to the light, and what it learns."""

import torch

from lightloom import chips, nn
from lightloom.physics import diffraction

torch.manual_seed(0)
chip = chips.diffractive("phoenix").replace(grid=40, mask=20)  # 1050 nm, pixels of 1.75 um, two masks 100 um apart

# free space keeps the light that it spreads
way = diffraction.transfer(chip.plane(), chip.distance)
field = diffraction.pad(torch.ones(8, 8, dtype=torch.complex128), chip.grid, chip.grid)
spread = diffraction.propagate(field, way)
print(f"light in {field.abs().square().sum():.6f}, light out {spread.abs().square().sum():.6f}")

# a path of light for each pair of channels, as published, and one for each channel that comes in
maps = torch.rand(2, 16, 13, 17)
for mixing in ("dense", "depthwise"):
    layer = nn.DiffractiveConv2d(16, 16, chip, mixing=mixing)
    print(f"{mixing}: {layer.optical_paths} paths, {layer.optical_parameters} phases, {tuple(layer(maps).shape)}")

# masks learn like any weight: here, to swap left and right
target = maps.flip(-1)
optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
first = torch.nn.functional.mse_loss(layer(maps), target).detach()
for _ in range(60):
    optimiser.zero_grad()
    loss = torch.nn.functional.mse_loss(layer(maps), target)
    loss.backward()
    optimiser.step()
print(f"mean square error {first:.3f} -> {loss.detach():.3f}")
assert loss.detach() < first / 2
