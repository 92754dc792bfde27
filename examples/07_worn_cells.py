"""A crossbar that has aged: find the cells that no longer switch, and work around them."""

import torch

from lightloom import chips, nn
from lightloom.lab.crossbar import InstrumentedCrossbar, age, instruments_for, survey

torch.manual_seed(0)
chip = chips.preset("elight", chips.PCMChip).replace(block_size=16, absorption_std=0.02)
layer = torch.nn.Linear(96, 32)
optical = nn.convert(layer, chip).model

worn = age(optical, chip.specimen(0), inferences=6_000)  # every inference writes all of it anew
core = nn.cores(optical, nn.PCMCore)[""]
print(f"{worn.dead} of {core.counts(1).cells} cells no longer switch; the first failed after {worn.first_failure:.0f}")
print(f"error of the weight as it is {core.error(layer.weight):.5f}")

for bench in instruments_for(optical, InstrumentedCrossbar, readout_std=0.01):
    known = survey(bench.instrument)  # sees the chip through its instrument alone
    bench.store(bench.remap(known))
    print(f"found {int((known.stuck >= 0).sum())} stuck cells in {known.calls} calls")
print(f"error with other rows and levels {core.error(layer.weight):.5f}")
