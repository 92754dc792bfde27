"""Models of transformers are rebuilt from the folder alone, and written as ONNX."""

import json
from pathlib import Path

import pytest
import torch

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError

transformers = pytest.importorskip("transformers")

CHIP = chips.preset("thermo-optic", chips.MeshChip).replace(block_size=4)
WORDS = torch.tensor([[1, 5, 3, 2], [4, 4, 0, 6]])


def gpt() -> torch.nn.Module:
    config = transformers.GPT2Config(vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, use_cache=False)
    return transformers.GPT2LMHeadModel(config).eval()


def bert() -> torch.nn.Module:
    config = transformers.BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        num_labels=3,
    )
    return transformers.BertForSequenceClassification(config).eval()


@pytest.mark.parametrize("build", [gpt, bert])
@pytest.mark.parametrize("untie", [False, True])
def test_the_folder_is_enough(tmp_path: Path, build, untie: bool) -> None:
    model = nn.convert(build(), CHIP, untie=untie).model
    nn.install(model, CHIP.specimen(seed=2))
    saved = export.save(model, tmp_path / "saved", sample={"input_ids": WORDS})
    again = export.load(tmp_path / "saved")
    assert type(again) is type(model)
    assert list(nn.optical_layers(again)) == [layer["name"] for layer in saved["layers"]]
    with torch.no_grad():
        assert torch.equal(again(WORDS).logits, model(WORDS).logits)
    assert export.check(tmp_path / "saved", again) == 0
    assert export.check(tmp_path / "saved", export.load(tmp_path / "saved", build())) == 0


def test_no_class_but_a_model_of_transformers_is_built(tmp_path: Path) -> None:
    from lightloom.export.description import digest

    export.save(nn.convert(bert(), CHIP).model, tmp_path / "saved")
    config, index = tmp_path / "saved" / "config.json", tmp_path / "saved" / "lightloom.json"
    for name in ("pipeline", "BertConfig", "NoSuchModel"):
        config.write_text(json.dumps({**json.loads(config.read_text()), "class": name}))
        described = json.loads(index.read_text())
        described["files"]["config.json"] = digest(config)
        index.write_text(json.dumps(described))
        with pytest.raises(RequestError, match=f"has no `{name}`"):
            export.load(tmp_path / "saved")


def test_bert_as_onnx(tmp_path: Path) -> None:
    model = nn.convert(bert(), CHIP).model
    told = export.to_onnx(model, {"input_ids": WORDS, "attention_mask": torch.ones_like(WORDS)}, tmp_path / "bert.onnx")
    assert told["inputs"] == ["input_ids", "attention_mask"] and told["outputs"] == ["logits"]
