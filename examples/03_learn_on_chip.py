"""Train electronically, lose everything on a manufactured chip, learn it back there."""

import tempfile
from pathlib import Path

import torch

from lightloom import chips, data, learn, nn
from lightloom.tasks.classification import Classify, build

torch.manual_seed(0)
splits = data.load("digits")
objective = Classify()
pictures = learn.TrainingData(splits.train, splits.validation)
model = build("cnn", shape=splits.shape, classes=10, width=12)

with tempfile.TemporaryDirectory() as folder:
    config = learn.TrainConfig(epochs=6, lr=3e-3)
    learn.fit(model, pictures, objective, config, learn.Session(Path(folder), "train", seed=0, device="cpu"))
    print(f"electronic {objective.evaluate(model, splits.test)['accuracy']:.3f}")

    chip = chips.preset("l2ight")
    optical = nn.convert(model, chip).model
    nn.install(optical, chip.specimen(seed=0))
    print(f"programmed {objective.evaluate(optical, splits.test)['accuracy']:.3f}")

    names = learn.train_only_subspace(optical)
    config = learn.TrainConfig(epochs=10, lr=1e-2)
    learn.fit(optical, pictures, objective, config, learn.Session(Path(folder), "learn", seed=0, device="cpu"))
    print(
        f"learned    {objective.evaluate(optical, splits.test)['accuracy']:.3f}, training {', '.join(names[:2])}, ..."
    )
