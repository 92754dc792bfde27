"""What one inference takes, with every boundary named."""

import torch

from lightloom import chips, cost, nn

model = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
image = torch.randn(1, 784)

for name in ("thermo-optic", "noems"):
    bill = cost.estimate(nn.convert(model, chips.preset(name)).model, image)
    print(f"{name}: {bill.counts['cores']} cores, {bill.counts['calls']} calls")
    for boundary in bill.boundaries:
        print(f"  {boundary.name:28} {boundary.energy_j * 1e9:10.3f} nJ  {boundary.latency_s * 1e9:6.2f} ns")
