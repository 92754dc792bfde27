"""Put a network on a photonic chip and see what manufacturing does to it."""

import torch

from lightloom import chips, nn

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 64, 10)
)
images = torch.randn(4, 1, 8, 8)

chip = chips.preset("l2ight")
conversion = nn.convert(model, chip)
for layer in conversion.layers:
    print(f"{layer.name}: {layer.kind} in {layer.blocks} blocks of {layer.block_size}, {layer.mzis} MZIs")

# Without a specimen the chip has quantisation and crosstalk; a specimen adds its own hidden errors.
with torch.no_grad():
    wanted = model(images)
    print(f"designed chip:     off by {(conversion.model(images) - wanted).norm() / wanted.norm():.2f}")
    nn.install(conversion.model, chip.specimen(seed=0))
    print(f"manufactured chip: off by {(conversion.model(images) - wanted).norm() / wanted.norm():.2f}")

    # Every imperfection has a switch.
    without_bias = chip.replace(phase_bias=0.0)
    quiet = nn.convert(model, without_bias).model
    nn.install(quiet, without_bias.specimen(seed=0))
    print(f"bias known:        off by {(quiet(images) - wanted).norm() / wanted.norm():.2f}")
