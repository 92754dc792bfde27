"""The training engine: resuming, several processes, clear failure."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lightloom.common.errors import RequestError, WorkError
from lightloom.data import Batch, ImageSet, crop_and_flip, on_images
from lightloom.learn import (
    Sampling,
    Session,
    TrainConfig,
    TrainingData,
    fit,
    load_weights,
    sample_batches,
    save_weights,
)
from lightloom.tasks.classification import Classify

Augment = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
CONFIG = TrainConfig(epochs=4, batch_size=10, lr=1e-2)


def images(count: int = 53, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    pictures = torch.randn(count, 1, 4, 4, generator=generator) + labels.view(-1, 1, 1, 1)
    return ImageSet(pictures, labels)


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.Dropout(0.3), nn.Linear(12, 3))


def train(
    folder: Path, config: TrainConfig = CONFIG, network: nn.Module | None = None, augment: Augment | None = None
) -> nn.Module:
    network = model() if network is None else network
    data = TrainingData(images(), images(20, 1), augment)
    fit(network, data, Classify(), config, Session(folder, "train", 0, "cpu"))
    return network


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_learns_and_records_every_epoch(tmp_path: Path) -> None:
    train(tmp_path)
    records = lines(tmp_path)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert records[-1]["loss"] < records[0]["loss"]
    assert records[-1]["validation_accuracy"] > 0.6


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        train(tmp_path / name)
    one, other = (load_file(tmp_path / name / "checkpoints/train-last.safetensors") for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    pass


def interrupted(folder: Path, at_call: int, monkeypatch: pytest.MonkeyPatch, augment: Augment | None = None) -> None:
    """Stop at the given file being written: between metrics, best and last checkpoint of some epoch."""
    import lightloom.learn.checkpoint as checkpoint

    real, calls = checkpoint.write_bytes, iter(range(1000))

    def write(path: Path, content: bytes) -> None:
        if next(calls) == at_call:
            raise Killed
        real(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_bytes", write)
        with pytest.raises(Killed):
            train(folder, augment=augment)


@pytest.mark.parametrize("at_call", range(5))
def test_resuming_ends_in_the_weights_of_an_uninterrupted_run(
    tmp_path: Path, at_call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    expected = train(tmp_path / "whole").state_dict()
    interrupted(tmp_path / "killed", at_call, monkeypatch)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as stream:
        stream.write('{"stage": "train", "epo')  # a line that a kill cut short
    resumed = train(tmp_path / "killed").state_dict()
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    drop = {"seconds"}
    whole, killed = (
        [{k: v for k, v in line.items() if k not in drop} for line in lines(tmp_path / name)]
        for name in ("whole", "killed")
    )
    assert whole == killed


def test_random_crops_change_the_training_alone_and_resume_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "killed", "plain"):
        (tmp_path / name).mkdir()
    expected = train(tmp_path / "whole", augment=on_images(crop_and_flip))
    interrupted(tmp_path / "killed", 3, monkeypatch, on_images(crop_and_flip))
    resumed = train(tmp_path / "killed", augment=on_images(crop_and_flip)).state_dict()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in expected.state_dict().items())
    plain = train(tmp_path / "plain").state_dict()
    assert not torch.equal(plain["1.weight"], resumed["1.weight"])
    # the validation images are those of the set: the figure on record is what the model does on them as they are
    recorded = max(record["validation_accuracy"] for record in lines(tmp_path / "whole"))
    assert Classify().evaluate(expected, images(20, 1))["accuracy"] == recorded


def test_the_best_epoch_by_validation_is_left_in_the_model(tmp_path: Path) -> None:
    network = train(tmp_path)
    best = load_file(tmp_path / "checkpoints/train-best.safetensors")
    assert all(torch.equal(tensor, best[name]) for name, tensor in network.state_dict().items())
    accuracy = Classify().evaluate(network, images(20, 1))["accuracy"]
    assert accuracy == max(record["validation_accuracy"] for record in lines(tmp_path))


def test_a_bad_parameter_is_named(tmp_path: Path) -> None:
    network = model()
    with torch.no_grad():
        network[4].weight[0, 0] = torch.inf
    with pytest.raises(
        WorkError, match=r"stage `train`, epoch 1, step 0.*First bad tensor: 4\.weight, shape \(3, 12\)"
    ):
        train(tmp_path, network=network)


class Explode(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 0


def test_a_bad_output_is_named_by_the_first_module_that_makes_it(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), Explode(), nn.Tanh())
    network.append(nn.Linear(3, 3))
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].bias.zero_()
    with pytest.raises(WorkError, match=r"the output of `2` \(Explode\)"):
        train(tmp_path, network=network)


class BadSlope(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs().sqrt()


def test_a_bad_gradient_is_named(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False), BadSlope())
    with torch.no_grad():
        network[1].weight.zero_()  # the root of zero has an infinite slope
    with pytest.raises(WorkError, match=r"gradient is not finite.*`?1\.weight"):
        train(tmp_path, network=network)


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(nn.Linear(3, 4), path)
    with pytest.raises(RequestError, match=r"`weight` has shape \(4, 3\), the model's has \(3, 4\)"):
        load_weights(nn.Linear(4, 3), path)
    with pytest.raises(RequestError, match=r"`0.weight` is missing"):
        load_weights(nn.Sequential(nn.Linear(3, 4)), path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RequestError, match="not a whole safetensors file"):
        load_weights(nn.Linear(3, 4), path)
    with pytest.raises(RequestError, match="no file"):
        load_weights(nn.Linear(3, 4), tmp_path / "missing.safetensors")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    torch.save(nn.Linear(3, 4).state_dict(), path)
    with pytest.raises(RequestError, match="not a whole safetensors file"):
        load_weights(nn.Linear(3, 4), path)


def test_skipped_batches_leave_the_schedule_and_a_resumed_run_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_thinned(folder: Path) -> nn.Module:
        network, sampling = model(), Sampling(smd=0.5)

        def skip(batches: Iterable[tuple[int, Batch]], epoch: int) -> Iterable[tuple[int, Batch]]:
            return sample_batches(batches, sampling, seed=epoch)

        data = TrainingData(images(), images(20, 1), sampler=skip)
        fit(network, data, Classify(), CONFIG, Session(folder, "train", 0, "cpu"))
        return network

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = train_thinned(tmp_path / "whole").state_dict()
    monkeypatch.setattr(TrainConfig, "learning_rate", failing_at(TrainConfig.learning_rate, call=8))
    with pytest.raises(Killed):
        train_thinned(tmp_path / "killed")
    monkeypatch.undo()
    resumed = train_thinned(tmp_path / "killed").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [a["lr"] for a in lines(tmp_path / "whole")] == [b["lr"] for b in lines(tmp_path / "killed")]


def failing_at(real: Callable[..., float], call: int) -> Callable[..., float]:
    calls = iter(range(1000))

    def rate(*arguments: object) -> float:
        if next(calls) == call:
            raise Killed
        return real(*arguments)

    return rate


def test_half_precision_trains_and_keeps_its_weights_in_single(tmp_path: Path) -> None:
    network = train(tmp_path, CONFIG.replace(precision="bfloat16"))
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert lines(tmp_path)[-1]["validation_accuracy"] > 0.6


def test_learning_rates_rise_and_fall_as_a_function_of_the_step() -> None:
    config = TrainConfig(lr=1.0, warmup=0.1)
    rates = [config.learning_rate(step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 10
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 1e-3


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from test_engine import CONFIG, Doubled, images
from lightloom.learn import Session, TrainingData, fit
from lightloom.tasks.classification import Classify
torch.manual_seed(1)
session = Session(Path(sys.argv[2]), "train", 0, "cpu")
fit(Doubled(), TrainingData(images(51), images(20, 1)), Classify(), CONFIG, session)
from accelerate import PartialState
(Path(sys.argv[2]) / "world").write_text(str(PartialState().num_processes))
"""


class Doubled(nn.Module):
    """In float64, so that the order of sums is the only difference; without noise or statistics of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.LayerNorm(12), nn.Linear(12, 3)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x.double())


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    """The same global batch over two gloo processes, the last batch of a single image among them."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    for name, processes in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        folder.mkdir()
        # accelerate's `--cpu` stands for MPI; this launcher is torch's, and the script itself asks for the CPU
        launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines=1"]
        launch += ["--mixed_precision=no", "--dynamo_backend=no"]
        launch += [f"--num_processes={processes}", f"--main_process_port={free_port()}"]
        command = [*launch, str(script), str(Path(__file__).parent), str(folder)]
        if processes == 1:
            command = [sys.executable, str(script), str(Path(__file__).parent), str(folder)]
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert result.returncode == 0, result.stderr[-3000:]
    assert [(tmp_path / name / "world").read_text() for name in ("one", "two")] == ["1", "2"]
    one, two = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert len(one) == len(two) == CONFIG.epochs
    for a, b in zip(one, two, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
        assert a["validation_loss"] == pytest.approx(b["validation_loss"], rel=1e-6)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_validation_images_are_looked_at_as_often_as_asked(tmp_path: Path) -> None:
    config = CONFIG.replace(epochs=5, evaluate_every=2, keep="last")
    train(tmp_path, config)
    records = lines(tmp_path)
    assert [record["epoch"] for record in records if "validation_accuracy" in record] == [2, 4, 5]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5]


class Asking(nn.Module):
    """Needs its targets while it trains, as detectors that pair them with queries do."""

    takes_targets = True

    def __init__(self) -> None:
        super().__init__()
        self.inner = model()
        self.seen: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        if targets is not None:
            self.seen.append(targets)
        return self.inner(inputs)


def test_targets_go_to_a_model_that_takes_them_as_the_augmentation_left_them(tmp_path: Path) -> None:
    network = Asking()
    train(tmp_path, CONFIG.replace(epochs=1), network, augment=lambda inputs, targets: (inputs, targets * 0))
    assert network.seen and all((targets == 0).all() for targets in network.seen)


def test_a_finished_training_says_so_and_leaves_the_modes_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = model()
    network[2].eval()
    before = [module.training for module in network.modules()]
    train(tmp_path, network=network)
    assert [module.training for module in network.modules()] == before
    capsys.readouterr()
    again = train(tmp_path, network=model().eval())
    assert f"train: goes on from epoch 4 of 4 in {tmp_path}" in capsys.readouterr().err
    assert not any(module.training for module in again.modules())
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), network.state_dict().values(), strict=True)
    )


def swapped(data: ImageSet) -> ImageSet:
    return ImageSet(data.images, 2 - data.labels)


def one_pixel(data: ImageSet) -> ImageSet:
    changed = data.images.clone()
    changed[-1, 0, -1, -1] += 1e-3
    return ImageSet(changed, data.labels)


@pytest.mark.parametrize(
    ("data", "validation", "config", "seed", "told"),
    [
        (swapped(images()), images(20, 1), CONFIG, 0, "the training data differ"),
        (one_pixel(images()), images(20, 1), CONFIG, 0, "the training data differ"),
        (images(40), images(20, 1), CONFIG, 0, "the training data differ"),
        (images(), images(20, 2), CONFIG, 0, "the validation data differ"),
        (images(), images(20, 1), CONFIG.replace(lr=0.5), 0, "`lr` was 0.01 and is 0.5"),
        (images(), images(20, 1), CONFIG.replace(epochs=5, optimizer="sgd"), 0, "`optimizer` was adamw and is sgd"),
        (images(), images(20, 1), CONFIG, 1, "`seed` was 0 and is 1"),
    ],
)
def test_a_training_does_not_go_on_with_other_data_or_settings(
    tmp_path: Path, data: ImageSet, validation: ImageSet, config: TrainConfig, seed: int, told: str
) -> None:
    train(tmp_path, CONFIG.replace(epochs=4))
    network = model()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(RequestError, match=told):
        fit(network, TrainingData(data, validation), Classify(), config, Session(tmp_path, "train", seed, "cpu"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    fit(network, TrainingData(data, validation), Classify(), config, Session(tmp_path, "other", seed, "cpu"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.double(), "`1.weight` is torch.float64, and the model's is torch.float32"),
        (lambda t: t.half(), "torch.float16"),
        (lambda t: t.to(torch.int32), "torch.int32"),
        (lambda t: t.index_fill(0, torch.tensor([0]), torch.nan), "`1.weight` holds NaN"),
        (lambda t: t.index_fill(0, torch.tensor([0]), torch.inf), "`1.weight` holds Inf"),
    ],
)
def test_weights_of_another_type_or_none_at_all_are_refused(
    tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], told: str
) -> None:
    state = model().state_dict()
    save_file({**state, "1.weight": change(state["1.weight"])}, tmp_path / "weights.safetensors")
    network = model()
    with pytest.raises(RequestError, match=told):
        load_weights(network, tmp_path / "weights.safetensors")
    assert torch.equal(network[1].weight, state["1.weight"])
