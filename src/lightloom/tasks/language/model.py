"""A small transformer decoder over characters: causal attention, pre-norm, plain linear projections.

The architecture is that of GPT-2 (Radford et al. 2019) at the size of a page of text. Every matrix product with a
trained weight is an `nn.Linear`, so that `lightloom.nn.convert` puts it on a chip; the products of attention are of two
signals and stay electronic, as do the look-ups of the embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError

_INITIAL_STD = 0.02


class CausalAttention(nn.Module):
    """Multi-head self-attention of a sequence in which no position sees a later one.

    Args:
        width: Features of one position.
        heads: Parts of `width` that attend separately; they divide it.
        dropout: Probability that an attention weight or an output is left out in training.

    Raises:
        RequestError: `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise RequestError(f"{heads} heads do not divide a width of {width}; choose `heads` that do.")
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each sequence of [batch, positions, width]; the shape stays."""
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return F.dropout(output, self.dropout, self.training)

    def _split(self, x: Tensor) -> Tensor:
        """[batch, positions, width] to [batch, heads, positions, width / heads]."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class DecoderBlock(nn.Module):
    """Attention, then a two-layer perceptron of four times the width, each behind a norm and around a shortcut.

    Args:
        width: Features of one position.
        heads: As for `CausalAttention`.
        dropout: Likewise; also of the perceptron's output.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalAttention(width, heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """One layer of the decoder on [batch, positions, width]; the shape stays."""
        x = x + self.attention(self.attention_norm(x))
        branch: Tensor = self.dropout(self.down(F.gelu(self.up(self.mlp_norm(x)))))
        return x + branch


class CharacterTransformer(nn.Module):
    """Scores of the next character at every position of a sequence.

    Args:
        characters: Size of the vocabulary.
        context: Most positions that it can see.
        width: Features of one position.
        heads: Attention heads; they divide `width`.
        depth: Decoder blocks.
        dropout: Probability of leaving out attention weights and outputs of blocks in training.

    Raises:
        RequestError: `heads` does not divide `width`.
    """

    def __init__(
        self, characters: int, *, context: int, width: int, heads: int, depth: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(characters, width)
        self.positions = nn.Parameter(torch.empty(context, width))
        self.blocks = nn.Sequential(*(DecoderBlock(width, heads, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters)
        self._initialise(depth)

    def forward(self, numbers: Tensor) -> Tensor:
        """Logits [batch, positions, characters] of the character that follows each position.

        Args:
            numbers: Numbers of characters in the vocabulary, int64 [batch, positions].

        Raises:
            RequestError: There are more positions than `context`.
        """
        positions = numbers.shape[1]
        if positions > self.context:
            raise RequestError(
                f"A sequence of {positions} characters is longer than the context of {self.context}; cut it."
            )
        x = self.embedding(numbers) + self.positions[:positions]
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits

    @torch.no_grad()
    def _initialise(self, depth: int) -> None:
        """Draw first weights as GPT-2 does: small, and smaller still where 2 x `depth` branches are added up."""
        nn.init.normal_(self.positions, std=_INITIAL_STD)
        for name, module in self.named_modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=_INITIAL_STD)
            if isinstance(module, nn.Linear):
                added = name.endswith((".output", ".down"))
                nn.init.normal_(module.weight, std=_INITIAL_STD / (2 * depth) ** 0.5 if added else _INITIAL_STD)
                nn.init.zeros_(module.bias)
