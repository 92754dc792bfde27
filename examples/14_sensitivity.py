"""One layer at a time on the chip, and which layers had better stay electronic."""

import torch
from torch.nn import functional as F

from lightloom import chips, data, explore

torch.manual_seed(0)
digits = data.load("digits")
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 3, stride=2),
    torch.nn.ReLU(),
    torch.nn.Flatten(),
    torch.nn.Linear(72, 24),
    torch.nn.ReLU(),
    torch.nn.Linear(24, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(60):
    optimizer.zero_grad()
    F.cross_entropy(model(digits.train.images), digits.train.labels).backward()
    optimizer.step()

chip = chips.preset("noems").replace(weight_bits=5)
scan = explore.sensitivity(model, chip, digits.test, explore.SensitivityConfig(specimens=8, budget=0.03))
print(scan)
print("as it is used: nn.convert(model, chip, skip=", scan.proposal, ")", sep="")
