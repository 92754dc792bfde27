"""The same network on phase-change cells: what one inference writes, and how little is left of it in a good order."""

import torch

from lightloom import chips, cost, nn

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
images = torch.rand(5, 784)

for sharing in ("row_private", "column_shared", "block_shared"):
    chip = chips.preset("elight", chips.PCMChip).replace(block_size=16, sharing=sharing, start="alternate")
    optical = nn.convert(model, chip).model
    before, outputs = cost.count_writes(optical), optical(images)
    for core in nn.cores(optical, nn.PCMCore).values():
        core.place(nn.reorder(core))
    after = cost.count_writes(optical)
    assert torch.equal(optical(images), outputs)  # an order changes no result
    print(
        f"{sharing:14} {before.levels:8,d} -> {after.levels:8,d} levels written per inference, "
        f"first cell fails after {before.lifetime():6,.0f} -> {after.lifetime():7,.0f} inferences"
    )
