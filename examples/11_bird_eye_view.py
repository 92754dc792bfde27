"""Six cameras, a small town, an expert and a student that it guides to where things are; and the score of nuScenes."""

import tempfile
from pathlib import Path

import torch

from lightloom.data.multicamera import letterbox_samples
from lightloom.data.nuscenes import read_samples, read_tables, scene_splits
from lightloom.data.toytown import VERSION, ToytownConfig, make_toytown
from lightloom.learn import DistillationConfig, DistillationModel, DistillationObjective
from lightloom.nn.backbones import build_backbone
from lightloom.tasks.detection3d import (
    Detection3DObjective,
    Detector3D,
    DistillerConfig,
    build_distiller,
    detector_size,
)

torch.manual_seed(0)
with tempfile.TemporaryDirectory() as folder:
    tables = read_tables(make_toytown(Path(folder), ToytownConfig(scenes=(2, 1, 1), frames=2), progress=False), VERSION)
    samples = read_samples(tables, scene_splits(tables)["train"])
    size = detector_size("toy")
    scenes = letterbox_samples(samples, tables.cameras(), (96, 160), area=size.area, history=size.history)
boxes = (scenes.labels[..., -1] >= 0).sum()
print(f"{len(scenes)} moments, {len(scenes.channels)} cameras, {boxes} boxes")

expert, student = (
    Detector3D(build_backbone("regnetx-tiny"), 10, detector_size(name)) for name in ("toy-expert", "toy")
)
views = scenes.images[torch.arange(len(scenes))]
config = DistillationConfig(features=0.0)
distiller = build_distiller(DistillerConfig(kind="fd3d"), student, expert, views)
model = DistillationModel(student, expert, views, config, distiller=distiller)
task = DistillationObjective(Detection3DObjective(student), config)
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
losses = []
for _ in range(8):
    optimiser.zero_grad()
    loss = task.loss(model(views, scenes.labels), scenes.labels)
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}")
assert losses[-1] < losses[0]

figures, found = Detection3DObjective(student).measure(student, scenes)
print(f"NDS {100 * figures.NDS:.1f} %, mAP {100 * figures.mAP:.1f} %; the surest box: {found[0].boxes[0, :3].tolist()}")
