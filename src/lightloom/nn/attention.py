"""torch's multi-head attention with projections that are layers of their own, so that they can go on a chip."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.arguments import checked
from lightloom.nn.belongings import carry_over
from lightloom.nn.effective import hand_out, refusal
from lightloom.nn.layers import OpticalLayer
from lightloom.nn.leaf import call_as_leaf, traced

_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
_JOINED = {"in_proj_weight", "in_proj_bias", *(f"{name}_weight" for name in _PROJECTIONS)}


class Attention(nn.MultiheadAttention):
    """A stand-in for `torch.nn.MultiheadAttention`: the same call, the same results, and four layers inside.

    torch's module multiplies by its weights itself and never calls a layer. Here `q_proj`, `k_proj`, `v_proj` and
    `out_proj` are `torch.nn.Linear`, or what conversion makes of them. Nested tensors are not taken.

    Args:
        embed_dim: Length of queries and outputs.
        num_heads: Heads that share it.
        dropout: On the attention, in training.
        bias: Whether the projections have one.
        add_bias_kv: Whether a learnt key and value are appended.
        add_zero_attn: Whether a key and value of zeros are appended.
        kdim: Length of keys; None is `embed_dim`.
        vdim: Length of values; None is `embed_dim`.
        batch_first: Whether tensors are [batch, length, ...] instead of [length, batch, ...].
    """

    bias_k: nn.Parameter | None
    bias_v: nn.Parameter | None

    @checked
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ) -> None:
        nn.Module.__init__(self)  # not torch's, which would draw weights
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim must be a multiple of num_heads, got {embed_dim} and {num_heads}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.dropout, self.add_zero_attn, self.batch_first = dropout, add_zero_attn, batch_first
        self.q_proj: nn.Module = nn.Linear(embed_dim, embed_dim, bias)
        self.k_proj: nn.Module = nn.Linear(self.kdim, embed_dim, bias)
        self.v_proj: nn.Module = nn.Linear(self.vdim, embed_dim, bias)
        self.out_proj: nn.Module = nn.Linear(embed_dim, embed_dim, bias)  # type: ignore[assignment]
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, embed_dim)) if add_bias_kv else None)

    @classmethod
    @checked
    def from_electronic(cls, layer: nn.MultiheadAttention) -> Attention:
        """The same attention, with copies of the weights."""
        with torch.device("meta"):
            attention = cls(
                layer.embed_dim,
                layer.num_heads,
                layer.dropout,
                layer.in_proj_bias is not None,
                layer.bias_k is not None,
                layer.add_zero_attn,
                layer.kdim,
                layer.vdim,
                layer.batch_first,
            )
        weights: tuple[Tensor, ...] = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        if layer.in_proj_weight is not None:
            weights = layer.in_proj_weight.chunk(3)
        biases = (None, None, None) if layer.in_proj_bias is None else layer.in_proj_bias.chunk(3)
        for name, weight, bias in zip(_PROJECTIONS, weights, biases, strict=True):
            _set(getattr(attention, name), weight, bias)
        _set(attention.out_proj, layer.out_proj.weight, layer.out_proj.bias)
        for name in ("bias_k", "bias_v"):
            attention.register_parameter(name, getattr(layer, name))
        carry_over(layer, attention)
        return attention.train(layer.training)

    def to_electronic(self) -> nn.MultiheadAttention:
        """A `torch.nn.MultiheadAttention` with the same weights.

        Raises:
            TypeError: A projection is on a chip still; `nn.to_electronic` brings back both.
        """
        layers = [getattr(self, name) for name in (*_PROJECTIONS, "out_proj")]
        for layer in layers:
            if not isinstance(layer, nn.Linear):
                raise TypeError(f"a projection is a {type(layer).__name__}; bring it back to electronics first")
        with torch.device("meta"):
            attention = nn.MultiheadAttention(
                self.embed_dim,
                self.num_heads,
                self.dropout,
                layers[0].bias is not None,
                self.bias_k is not None,
                self.add_zero_attn,
                self.kdim,
                self.vdim,
                self.batch_first,
            )
        weights = [layer.weight.detach() for layer in layers[:3]]
        if self._qkv_same_embed_dim:
            attention.in_proj_weight = nn.Parameter(torch.cat(weights))
        else:
            for name, weight in zip(_PROJECTIONS, weights, strict=True):
                setattr(attention, f"{name}_weight", nn.Parameter(weight.clone()))
        if layers[0].bias is not None:
            attention.in_proj_bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers[:3]]))
        _set(attention.out_proj, layers[3].weight, layers[3].bias)
        attention.bias_k, attention.bias_v = self.bias_k, self.bias_v
        carry_over(self, attention)
        return attention.train(self.training)

    # the weights under the names that torch's module has, for code that reads them

    @property
    def in_proj_weight(self) -> Tensor | None:  # type: ignore[override]
        """[3 * embed_dim, embed_dim], read-only; None where keys or values have another length than queries."""
        return self._joined_projections("weight") if self._qkv_same_embed_dim else None

    @property
    def in_proj_bias(self) -> Tensor | None:  # type: ignore[override]
        """[3 * embed_dim], read-only; None where the projections have none."""
        return None if self.q_proj.bias is None else self._joined_projections("bias")

    @property
    def q_proj_weight(self) -> Tensor | None:  # type: ignore[override]
        """[embed_dim, embed_dim], read-only; None where `in_proj_weight` is there."""
        return None if self._qkv_same_embed_dim else self.q_proj.weight  # type: ignore[return-value]

    @property
    def k_proj_weight(self) -> Tensor | None:  # type: ignore[override]
        """[embed_dim, kdim], read-only; None where `in_proj_weight` is there."""
        return None if self._qkv_same_embed_dim else self.k_proj.weight  # type: ignore[return-value]

    @property
    def v_proj_weight(self) -> Tensor | None:  # type: ignore[override]
        """[embed_dim, vdim], read-only; None where `in_proj_weight` is there."""
        return None if self._qkv_same_embed_dim else self.v_proj.weight  # type: ignore[return-value]

    def _joined_projections(self, field: str) -> Tensor:
        layers = [getattr(self, name) for name in _PROJECTIONS]
        optical = [layer for layer in layers if isinstance(layer, OpticalLayer)]
        parts = [
            layer.effective_weight() if layer in optical and field == "weight" else getattr(layer, field)
            for layer in layers
        ]
        return hand_out(torch.cat(parts), optical)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what the projections hold. Raises `RequestError`."""
        if name in _JOINED:
            raise refusal(name, self.children())
        super().__setattr__(name, value)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Arguments and results are those of `torch.nn.MultiheadAttention`.

        Args:
            query: [batch, length, embed_dim], [length, batch, embed_dim] or [length, embed_dim].
            key: The same with `kdim`, of any length.
            value: The same with `vdim`, as long as `key`.
            key_padding_mask: [batch, keys], True or -inf where a key is not looked at.
            need_weights: Whether the attention itself is returned too.
            attn_mask: [queries, keys] or [batch * heads, queries, keys], True or -inf where a query must not look.
            average_attn_weights: Whether the returned attention is the mean over heads.
            is_causal: Says that `attn_mask` is the causal mask; it is used as it is.

        Returns:
            Outputs like `query`, and the attention [batch, (heads,) queries, keys] or None.

        Raises:
            RuntimeError: `is_causal` without a mask.
        """
        if traced(query):
            options = {"key_padding_mask": key_padding_mask, "need_weights": need_weights, "attn_mask": attn_mask}
            more = {"average_attn_weights": average_attn_weights, "is_causal": is_causal}
            node: tuple[Tensor, Tensor | None] = call_as_leaf(self, query, key, value, **options, **more)
            return node
        if is_causal and attn_mask is None:
            raise RuntimeError("`is_causal` describes `attn_mask`; give the mask as well")
        batched = query.dim() == 3
        if not batched:
            query, key, value = (tensor.unsqueeze(0) for tensor in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = (tensor.transpose(0, 1) for tensor in (query, key, value))
        q, k, v = self._heads(query, key, value)
        mask = _joined(attn_mask, key_padding_mask, q, key.shape[1], k.shape[2])
        mixed, attention = self._attend(q, k, v, mask, need_weights)
        output = self.out_proj(mixed.transpose(1, 2).flatten(2))
        if attention is not None and average_attn_weights:
            attention = attention.mean(1)
        if not batched:
            return output.squeeze(0), None if attention is None else attention.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1), attention

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Projections [batch, heads, length, head_dim], with what is appended to keys and values."""
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        batch = q.shape[0]  # `len` would freeze it where a model is traced
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (torch.cat([x, b.expand(batch, 1, -1)], 1) for x, b in ((k, self.bias_k), (v, self.bias_v)))
        if self.add_zero_attn:
            k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        q, k, v = (x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        return q, k, v

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout), None
        scores = (q * math.sqrt(1 / self.head_dim)) @ k.mT
        attention = F.softmax(scores if mask is None else scores + mask, -1)
        if dropout:
            attention = F.dropout(attention, dropout)
        return attention @ v, attention


def _set(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Replace the parameters of a layer that was built without any memory."""
    layer.register_parameter("weight", nn.Parameter(weight.detach().clone()))
    layer.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach().clone()))


def _joined(attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, keys: int, all_keys: int) -> Tensor | None:
    """Both masks as one [batch or 1, heads or 1, queries or 1, keys] that is added; appended keys are always seen."""
    batch, heads = q.shape[:2]
    mask: Tensor | None = None
    if attn_mask is not None:
        mask = _additive(attn_mask, q)
        mask = mask.view(batch, heads, *mask.shape[1:]) if mask.dim() == 3 else mask
    if padding is not None:
        hidden = _additive(padding, q).view(batch, 1, 1, keys)
        mask = hidden if mask is None else mask + hidden
    return mask if mask is None or all_keys == keys else F.pad(mask, (0, all_keys - keys))


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -torch.inf)


# torch's encoders read the weights of their layers where they can, instead of calling them

_SHORTCUTS: dict[type[nn.Module], str] = {
    nn.TransformerEncoderLayer: "activation_relu_or_gelu",
    nn.TransformerEncoder: "use_nested_tensor",
}


def close_shortcuts(model: nn.Module, inside: type[nn.Module]) -> None:
    """Make torch's encoders call the layers in them, wherever one is of type `inside`.

    Args:
        model: Changed in place; `open_shortcuts` puts it back.
        inside: Type of the layers that must be called.
    """
    for module in model.modules():
        for kind, switch in _SHORTCUTS.items():
            if isinstance(module, kind) and any(isinstance(child, inside) for child in module.modules()):
                module.__dict__.setdefault(f"_shortcut_{switch}", getattr(module, switch))
                setattr(module, switch, False)


def open_shortcuts(model: nn.Module) -> None:
    """The reverse of `close_shortcuts`."""
    for module in model.modules():
        for switch in _SHORTCUTS.values():
            if f"_shortcut_{switch}" in module.__dict__:
                setattr(module, switch, module.__dict__.pop(f"_shortcut_{switch}"))
