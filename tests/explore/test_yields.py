"""The accuracy of many specimens together is that of each alone."""

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.explore.yields import accuracies, sequential
from lightloom.nn import convert, optical_layers
from lightloom.tasks.classification import Classify

CHIP = chips.preset("l2ight", chips.MeshChip).replace(block_size=4, phase_bias=0.0, gamma_std=0.02)


def test_accuracies_are_those_of_each_specimen(network: nn.Module, images: ImageSet) -> None:
    model = convert(network, CHIP).model.train()
    alone = sequential(model, range(12), images, chunk=30)
    assert model.training and optical_layers(model)["1"].core.u_bias is None
    for memory in (2**30, 4000):
        made = accuracies(model, range(12), images, memory=memory, chunk=30, progress=False)
        torch.testing.assert_close(made, alone, rtol=0, atol=0)
    assert len(set(made.tolist())) > 1 and made.dtype == torch.float64


def test_an_ideal_chip_has_the_accuracy_of_the_network(network: nn.Module, images: ImageSet) -> None:
    made = accuracies(convert(network, CHIP.ideal()).model, (3, 4), images, progress=False)
    assert made.tolist() == pytest.approx([Classify().evaluate(network, images)["accuracy"]] * 2, abs=1e-9)


def test_samples_may_be_anything_that_is_taken_by_number(network: nn.Module, images: ImageSet) -> None:
    class Drawn:
        device = torch.device("cpu")

        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: Tensor) -> Tensor:
            assert index.dtype == torch.int64
            return images.images[index]

    class Taken:
        def __init__(self) -> None:
            self.inputs, self.targets = Drawn(), images.labels

        def __len__(self) -> int:
            return len(images)

    model = convert(network, CHIP).model
    made = accuracies(model, (1, 2), Taken(), chunk=33, progress=False)  # type: ignore[arg-type]
    torch.testing.assert_close(made, accuracies(model, (1, 2), images, progress=False))


def test_wrong_requests_are_refused(network: nn.Module, images: ImageSet) -> None:
    model = convert(network, CHIP).model
    none = ImageSet(images.images[:0], images.labels[:0])
    for measure in (accuracies, sequential):
        with pytest.raises(RequestError, match="at least one seed"):
            measure(model, (), images)
        with pytest.raises(RequestError, match="at least one"):
            measure(model, (1,), none)
        with pytest.raises(RequestError, match="`chunk` is 0"):
            measure(model, (1,), images, chunk=0)
        with pytest.raises(RequestError, match=r"\[batch, classes\]"):
            measure(convert(nn.Conv2d(1, 2, 1), CHIP).model, (1,), images)
