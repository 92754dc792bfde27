"""A detector whose last stage is light, taught by an electronic one; and what it costs, counted in two ways."""

import torch

from lightloom import chips, cost
from lightloom.data.detection import letterbox, shapes
from lightloom.learn import DistillationConfig, DistillationModel, DistillationObjective
from lightloom.nn.backbones import HybridConfig, build_backbone, replace_stages
from lightloom.tasks.detection2d import Detection2DObjective, Detector, FCOSConfig

torch.manual_seed(0)
scenes = letterbox(shapes(8, size=96, seed=0), height=96, width=96)
head = FCOSConfig(channels=32, convs=1, groups=8, levels=3, reach=4, centre=1.5, by_stride=True, overlap="giou")


def detector(optical: bool) -> Detector:
    """A small RegNet with or without light, a feature pyramid and the head of FCOS."""
    backbone = build_backbone("regnetx-tiny")
    if optical:
        replace_stages(backbone, chips.diffractive("phoenix"), HybridConfig(stages=(3,)), sample_shape=(96, 96))
    return Detector(backbone, len(scenes.source.classes), head)


teacher, student = detector(optical=False), detector(optical=True)
config = DistillationConfig(features=1.0, logits=1.0)
distillation = DistillationModel(student, teacher, scenes.images[:2], config)
task = DistillationObjective(Detection2DObjective(student), config)
optimiser = torch.optim.AdamW(distillation.parameters(), lr=2e-3)
losses = []
for _ in range(10):
    optimiser.zero_grad()
    loss = task.loss(distillation(scenes.images), scenes.labels)
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}, teacher left as it was")
assert losses[-1] < losses[0]

for name, model in (("electronic", teacher), ("hybrid", student)):
    bill = cost.hybrid_cost(model, scenes.images[:1])
    whole = bill.boundaries[-1]
    print(
        f"{name}: {bill.published['macs'] / 1e6:.1f} M multiply-adds as published; "
        f"{1e3 * whole.energy_j:.2f} mJ and {1e3 * whole.latency_s:.2f} ms with everything"
    )
