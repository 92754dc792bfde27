"""The transformer: causal, deterministic, of the architecture it says, and on a chip in all of its matrix layers."""

import math

import pytest
import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn import convert, optical_layers
from lightloom.tasks.language.generate import generate_text
from lightloom.tasks.language.model import CausalAttention, CharacterTransformer, DecoderBlock
from lightloom.tasks.language.objective import NextCharacter
from lightloom.tasks.language.windows import Alphabet, TextWindows


def transformer(dropout: float = 0.0) -> CharacterTransformer:
    torch.manual_seed(0)
    return CharacterTransformer(11, context=8, width=12, heads=3, depth=2, dropout=dropout)


def test_no_position_sees_a_later_one() -> None:
    model = transformer().eval()
    numbers = torch.randint(11, (2, 8))
    changed = numbers.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 11
    before, after = model(numbers), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(0)
    own = CausalAttention(12, 3)
    reference = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([own.query.weight, own.key.weight, own.value.weight]))
        reference.in_proj_bias.copy_(torch.cat([own.query.bias, own.key.bias, own.value.bias]))
        reference.out_proj.weight.copy_(own.output.weight)
        reference.out_proj.bias.copy_(own.output.bias)
    x = torch.randn(2, 5, 12)
    mask = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    torch.testing.assert_close(own(x), reference(x, x, x, attn_mask=mask, need_weights=False)[0])


def test_a_block_whose_branches_are_zero_is_a_shortcut() -> None:
    block = DecoderBlock(12, 3)
    for layer in (block.attention.output, block.down):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(block(x), x)


def test_first_weights_come_from_the_seed_and_foretell_nothing() -> None:
    first, second = transformer(), transformer()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    loss = NextCharacter().loss(first(torch.randint(11, (4, 8))), torch.randint(11, (4, 8)))
    assert loss.item() == pytest.approx(math.log(11), rel=0.02)


def test_dropout_acts_in_training_alone() -> None:
    model, numbers = transformer(dropout=0.5), torch.randint(11, (2, 8))
    assert not torch.equal(model.train()(numbers), model(numbers))
    assert torch.equal(model.eval()(numbers), model(numbers))


def test_all_projections_go_on_a_chip_and_make_the_same_of_a_text() -> None:
    model, numbers = transformer().eval(), torch.randint(11, (2, 8))
    optical = convert(model, "ideal").model
    names = {f"blocks.{block}.{layer}" for block in (0, 1) for layer in ("up", "down")}
    names |= {f"blocks.{block}.attention.{layer}" for block in (0, 1) for layer in ("query", "key", "value", "output")}
    assert set(optical_layers(optical)) == names | {"head"}
    torch.testing.assert_close(optical(numbers), model(numbers), atol=2e-4, rtol=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(RequestError, match="5 heads do not divide a width of 12"):
        CausalAttention(12, 5)
    with pytest.raises(RequestError, match="9 characters is longer than the context of 8"):
        transformer()(torch.zeros(1, 9, dtype=torch.int64))


class Bigram(nn.Module):
    """Logits of what follows each character, whatever came before it."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.logits[numbers]


def test_metrics_are_those_of_their_definition() -> None:
    shares = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    windows = TextWindows(torch.tensor([[0, 1], [0, 0], [1, 1]]), torch.tensor([[1, 0], [1, 0], [0, 1]]))
    bits = [math.log2(1 / share) for share in (0.75, 0.5, 0.75, 0.25, 0.5, 0.5)]
    for chunk in (1, 2, 256):
        model = Bigram(shares.log()).train()
        metrics = NextCharacter(chunk).evaluate(model, windows)
        assert metrics["bits_per_character"] == pytest.approx(sum(bits) / 6, rel=1e-6)
        assert metrics["loss"] == pytest.approx(metrics["bits_per_character"] * math.log(2), rel=1e-6)
        assert metrics["top1"] == pytest.approx(4 / 6)
        assert model.training


def test_generated_text_is_drawn_from_what_the_model_expects() -> None:
    alphabet = Alphabet("ab")
    model = Bigram(torch.tensor([[9.0, 0, 0], [9, 0, math.log(3)], [9, 0, math.log(3)]]))
    text = generate_text(model, alphabet, "a", length=4000, context=2, seed=3)
    assert text.count("b") / 4000 == pytest.approx(0.75, abs=0.03)
    assert set(text) == {"a", "b"}, "what no alphabet has is never drawn, however likely"
    assert text == generate_text(model, alphabet, "a", length=4000, context=2, seed=3)
    assert text != generate_text(model, alphabet, "a", length=4000, context=2, seed=4)
    assert generate_text(model, alphabet, "a", length=9, context=2, temperature=0) == "b" * 9


def test_generated_text_sees_the_end_of_its_context() -> None:
    model = transformer().train()
    alphabet = Alphabet("abcdefghij")
    near = generate_text(model, alphabet, "z" * 50 + "abcdefgh", length=20, context=8)
    assert near == generate_text(model, alphabet, "abcdefgh", length=20, context=8)
    assert len(near) == 20
    assert model.training


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"length": -1}, "`length` is -1"),
        ({"temperature": float("nan")}, "`temperature` is nan"),
        ({"temperature": -0.5}, "`temperature` is -0.5"),
    ],
)
def test_generated_text_of_nothing_is_refused(changes: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {"prompt": "a", "length": 3, "context": 8, **changes}
    with pytest.raises(RequestError, match=words):
        generate_text(transformer(), Alphabet("abcdefghij"), **arguments)  # type: ignore[arg-type]


def test_a_model_that_has_gone_wild_is_told() -> None:
    with pytest.raises(RequestError, match="not finite"):
        generate_text(Bigram(torch.full((3, 3), math.nan)), Alphabet("ab"), "a", length=1, context=2)
