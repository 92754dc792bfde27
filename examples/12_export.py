"""A network on a chip leaves as files: to be loaded again, run elsewhere, simulated as a circuit, driven."""

from pathlib import Path

import torch

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError

torch.manual_seed(0)
images = torch.randn(4, 16)


def network() -> torch.nn.Module:
    """A fresh one, with other weights every time."""
    return torch.nn.Sequential(torch.nn.Linear(16, 12), torch.nn.ReLU(), torch.nn.Linear(12, 3))


chip = chips.preset("thermo-optic", chips.MeshChip).replace(block_size=4)
optical = nn.convert(network(), chip).model
nn.install(optical, chip.specimen(seed=7))

# one folder, weights and hardware apart; it comes back on the same chip, with the same errors
export.save(optical, Path("saved"), sample=images, note="an example")
again = export.load(Path("saved"), network())
print(f"loaded again: outputs differ by {export.check(Path('saved'), again):.1g}")

# the same weights on a chip of the same form, but with worse heaters
rough = nn.convert(network(), chip.replace(name="rough", weight_bits=4)).model
export.load_weights(rough, Path("saved"))
print(f"on a rough chip: they differ by {export.check(Path('saved'), rough):.2f}")

# a block as MZIs for a circuit simulator, and every phase in one table
block = export.netlist(optical[0], (0, 1, 2), realised=True)
mzis = sum(device["component"] == "mzi" for device in block["block"]["instances"].values())
table = export.phase_table(optical, Path("phases.csv"))
print(f"a block has {mzis} MZIs; {table['rows']} devices hold their phases with {table['holding_power_w']:.2f} W")

# crossbars: the levels in the order in which they are written, and the weights from those files alone
crossbars = nn.convert(network(), chips.preset("elight")).model
export.pcm_levels(crossbars, Path("levels"))
weights = export.read_pcm_levels(Path("levels"))
assert torch.equal(torch.from_numpy(weights["0"]), crossbars[0].core.ideal_weight())
print(f"levels of {len(weights)} layers, read back to the same weights")

try:
    told = export.to_onnx(optical, images, Path("model.onnx"))
    print(f"ONNX: {told['bytes'] / 1000:.0f} kB, onnxruntime differs by {told['difference']:.1g}")
except RequestError as error:  # the extra is not installed
    print(error)
