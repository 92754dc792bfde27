"""ONNX files compute what the chip computes, at any batch size; what cannot be written is said."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError, WorkError
from lightloom.export.realised import realised_network
from lightloom.export.sample_io import difference

MESH = chips.preset("l2ight", chips.MeshChip).replace(block_size=4)
CONVERTED = MESH.replace(input_bits=6, output_bits=7)
ELIGHT = chips.preset("elight", chips.PCMChip).replace(block_size=4, output_bits=6)


def run(path: Path, **inputs: Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})


@pytest.mark.parametrize("chip", [MESH, CONVERTED, ELIGHT], ids=["exact", "converters", "pcm"])
def test_the_file_is_the_network_on_its_specimen(tmp_path: Path, network, chip: chips.Chip, capfd) -> None:
    model = nn.convert(network(), chip).model.train()
    nn.install(model, chip.specimen(seed=1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    told = export.to_onnx(model, torch.randn(1, 2, 4, 4), tmp_path / "model.onnx")
    assert model.training and len(nn.optical_layers(model)) == 3
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert capfd.readouterr() == ("", "")
    assert told["difference"] <= told["tolerance"]
    assert told["bytes"] == (tmp_path / "model.onnx").stat().st_size
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    x = torch.randn(5, 2, 4, 4)
    (made,) = run(tmp_path / "model.onnx", input=x)
    with torch.no_grad():
        wanted = model.eval()(x).numpy()
    assert abs(made - wanted).max() <= told["tolerance"] * abs(wanted).max()


def test_weights_in_the_file_are_the_effective_ones(tmp_path: Path) -> None:
    model = nn.convert(torch.nn.Linear(6, 5), MESH).model
    nn.install(model, MESH.specimen(seed=1))
    export.to_onnx(model, torch.randn(2, 6), tmp_path / "model.onnx")
    stored = [onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "model.onnx").graph.initializer]
    wanted = model.core.weight().detach().numpy()
    assert any(
        array.shape in ((5, 6), (6, 5)) and np.array_equal(np.sort(array, None), np.sort(wanted, None))
        for array in stored
    )


def test_rounding_is_part_of_the_file(tmp_path: Path) -> None:
    model = nn.convert(
        torch.nn.Linear(4, 4, bias=False), chips.preset("ideal", chips.MeshChip).replace(output_bits=2)
    ).model
    export.to_onnx(model, torch.randn(2, 4), tmp_path / "model.onnx")
    (made,) = run(tmp_path / "model.onnx", input=torch.randn(9, 4))
    for row in made:  # two bits have the levels -1, 0 and 1 of the largest
        assert set(np.round(row / abs(row).max(), 5)) <= {-1.0, 0.0, 1.0}


class TwoInputs(torch.nn.Module):
    """Several inputs by name, several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor | tuple[Tensor, ...]]:
        return {"sum": self.one(left) + self.two(right), "both": (left, right)}


def test_names_and_several_outputs(tmp_path: Path) -> None:
    model = nn.convert(TwoInputs(), MESH).model
    left, right = torch.randn(2, 4), torch.randn(2, 4)
    told = export.to_onnx(model, {"right": right, "left": left}, tmp_path / "model.onnx")
    assert told["inputs"] == ["right", "left"]
    assert told["outputs"] == ["sum", "both_0", "both_1"]
    made = run(tmp_path / "model.onnx", left=left[:1], right=right[:1])
    assert np.allclose(made[0], model(left[:1], right[:1])["sum"].detach().numpy(), atol=1e-5)
    told = export.to_onnx(model, (left, right), tmp_path / "placed.onnx", dynamic_batch=False)
    assert told["inputs"] == ["input_0", "input_1"]


def test_attention_and_one_dimension(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(3, 8, 3, padding=1)
            self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.conv(x).transpose(1, 2)
            mixed: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return mixed

    model = nn.convert(Net(), CONVERTED).model.eval()
    told = export.to_onnx(model, torch.randn(2, 3, 7), tmp_path / "model.onnx")
    x = torch.randn(3, 3, 7)
    (made,) = run(tmp_path / "model.onnx", input=x)
    wanted = model(x).detach().numpy()
    assert abs(made - wanted).max() <= told["tolerance"] * abs(wanted).max()


class Fixed(torch.nn.Module):
    """Takes the batch size for a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) / len(x)


class Undecided(torch.nn.Module):
    """Does what its input says, which no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.sum() > 0 else x


def test_what_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, path = torch.randn(2, 4), tmp_path / "model.onnx"
    with pytest.raises(RequestError, match="cannot be written as ONNX"):
        export.to_onnx(nn.convert(Undecided(), MESH).model, x, path)
    with pytest.raises(RequestError, match="takes the batch size for a constant"):
        export.to_onnx(nn.convert(Fixed(), MESH).model, x, path)
    with pytest.raises(RequestError, match="No layer of this network is on a chip"):
        export.to_onnx(torch.nn.Linear(4, 4), x, path)
    model = nn.convert(torch.nn.Sequential(torch.nn.Linear(4, 40), torch.nn.Tanh(), torch.nn.Linear(40, 4)), MESH).model
    with pytest.raises(WorkError, match="onnxruntime computes something else"):
        export.to_onnx(model, x, path, tolerance=0.0)
    with pytest.raises(RequestError, match="A sample is"):
        export.to_onnx(model, [x], path)
    monkeypatch.setattr("lightloom.export.onnx_file.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(RequestError, match=r"onnxscript.*pip install 'lightloom\[onnx\]'"):
        export.to_onnx(model, x, path)
    assert not path.exists()


def test_a_difference_is_never_lost_in_what_is_no_number() -> None:
    plain, infinite = torch.tensor([1.0, -4.0]), torch.tensor([1.0, -torch.inf])
    assert difference({"a": plain}, {"a": plain + torch.tensor([0.0, 2.0])}) == pytest.approx(1.0)
    assert difference({"a": infinite}, {"a": infinite}) == 0
    assert difference({"a": plain}, {"a": infinite}) == torch.inf
    assert difference({"a": torch.tensor([torch.nan, -4.0])}, {"a": plain}) == torch.inf
    assert difference({"a": torch.zeros(2)}, {"a": torch.zeros(2)}) == 0


def test_a_bias_that_layers_share_is_added_by_each() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].bias = model[2].bias = model[0].bias
    model = nn.convert(model, CONVERTED, skip="2").model.eval()
    x = torch.randn(3, 4)
    with torch.no_grad():
        torch.testing.assert_close(realised_network(model)(x), model(x), rtol=1e-5, atol=1e-5)
