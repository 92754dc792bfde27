"""Train electronically, lose everything on a manufactured chip, learn it back there."""

import tempfile
from pathlib import Path

import torch

from lightloom import chips, data, learn, nn
from lightloom.tasks.classification import Classify, build

torch.manual_seed(0)
splits = data.load("digits")
task = Classify()
model = build("cnn", shape=splits.shape, classes=10, width=12)

with tempfile.TemporaryDirectory() as folder:
    place = {"folder": Path(folder), "seed": 0, "device": "cpu"}
    config = learn.TrainConfig(epochs=6, lr=3e-3)
    learn.fit(model, splits.train, splits.validation, task, config, stage="train", **place)
    print(f"electronic {task.evaluate(model, splits.test)['accuracy']:.3f}")

    chip = chips.preset("l2ight")
    optical = nn.convert(model, chip).model
    nn.install(optical, chip.specimen(seed=0))
    print(f"programmed {task.evaluate(optical, splits.test)['accuracy']:.3f}")

    names = learn.train_only_subspace(optical)
    config = learn.TrainConfig(epochs=10, lr=1e-2)
    learn.fit(optical, splits.train, splits.validation, task, config, stage="learn", **place)
    print(f"learned    {task.evaluate(optical, splits.test)['accuracy']:.3f}, training {', '.join(names[:2])}, ...")
