"""Which chip for this network: accuracy over many specimens against energy, time and area."""

from pathlib import Path

import torch
from torch.nn import functional as F

from lightloom import chips, data, explore

torch.manual_seed(0)
digits = data.load("digits")
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(150):
    optimizer.zero_grad()
    F.cross_entropy(model(digits.train.images), digits.train.labels).backward()
    optimizer.step()

config = explore.ExploreConfig(
    axes=(
        "chip=noems,elight",
        "chip.block_size=4,8,16",
        "chip.gamma_std=0.002,0.01",  # of meshes alone: on the other chip it is left out, with a note
        "system.schedule=weight,output",
    ),
    specimens=8,
)

if __name__ == "__main__":  # `workers` are processes, which read this file too
    folder = Path("digits-explore")
    engine = explore.Engine(workers=0)
    result = explore.explore(
        model, chips.preset("noems"), digits.test, config, folder=folder, engine=engine, source="digits"
    )
    explore.write(folder, result)
    print("\n".join(explore.as_text(result)))
