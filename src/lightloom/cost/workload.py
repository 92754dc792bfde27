"""One watched forward pass of any network: what each layer on a chip is given, and what is left to electronics.

Nothing is multiplied: the network is copied without its weights onto torch's meta device, where tensors have shapes and
no values. Where a network looks at values on its way, the same pass is run with values instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from lightloom.chips import Chip
from lightloom.cost.macs import countable_attention
from lightloom.cost.schedule import Tiling
from lightloom.nn import OpticalLayer, TensorCore, copies, optical_layers
from lightloom.nn.plan import Planned


@dataclass
class ChipLayer:
    """One layer on a chip, and the work that one inference gives it."""

    name: str
    chip: Chip
    tiling: Tiling
    core: TensorCore | None = None
    """Programmed; None where a layer is only planned."""
    tied_to: str = ""
    """The layer whose cores it uses."""
    uses: Counter[int] = field(default_factory=Counter)
    """How many times in one inference it multiplies how many vectors."""
    values_in: int = 0
    """It is given, as they lie in memory: a convolution reads some of them several times."""
    values_out: int = 0

    @property
    def vectors(self) -> int:
        """That it multiplies in one inference, all uses together."""
        return sum(vectors * times for vectors, times in self.uses.items())

    @property
    def macs(self) -> int:
        """Multiply-adds of one inference, padding left out."""
        return self.tiling.groups * self.tiling.rows * self.tiling.columns * self.vectors

    @property
    def weights(self) -> int:
        """Numbers in its matrices."""
        return self.tiling.groups * self.tiling.rows * self.tiling.columns


@dataclass
class Forward:
    """What one inference takes."""

    layers: list[ChipLayer] = field(default_factory=list)
    macs: int = 0
    """Multiply-adds of electronics: layers that stay electronic, and products of activations such as attention's."""
    values: int = 0
    """Results of everything else electronic: norms, activations, softmax, sums, pooling, biases of optical layers."""
    values_in: int = 0
    """Of the whole network."""
    values_out: int = 0
    parameters: int = 0


def layers_of(model: nn.Module, planned: list[Planned]) -> dict[nn.Module, ChipLayer]:
    """The layers of a model that are on a chip, or are planned to be."""
    found: dict[nn.Module, ChipLayer] = {}
    owners: dict[int, str] = {}
    for name, layer in optical_layers(model).items():
        core = layer.core
        tied_to = owners.setdefault(id(core), name)
        tiling = Tiling(core.rows, core.columns, core.groups, core.chip.block_size)
        found[layer] = ChipLayer(name, core.chip, tiling, core, "" if tied_to == name else tied_to)
    for plan in planned:
        if plan.chip is not None:
            tiling = Tiling(plan.rows, plan.columns, plan.groups, plan.chip.block_size)
            found[plan.module] = ChipLayer(plan.name, plan.chip, tiling, None, plan.tied_to)
    return found


@torch.no_grad()
def watch(model: nn.Module, layers: Mapping[nn.Module, ChipLayer], sample: Any) -> Forward:
    """Run one inference without arithmetic, and write down what it takes.

    Args:
        model: Any network; it is left as it was.
        layers: Those of its modules that are on a chip.
        sample: What it takes: a tensor [1, ...], a tuple of them, or a mapping of keywords.
    """
    try:
        return _watch(model, layers, sample, meta=True)
    except (NotImplementedError, RuntimeError, TypeError):
        # a step that needs values has none on the meta device, and says so in one of these; with values, an error of
        # the network itself comes again
        return _watch(model, layers, sample, meta=False)


def _watch(model: nn.Module, layers: Mapping[nn.Module, ChipLayer], sample: Any, *, meta: bool) -> Forward:
    twin, made = copy_of(model, meta=meta)
    if meta:
        sample = tree_map_only(Tensor, lambda given: given.to("meta"), sample)
    known = [parameter for parameter in model.parameters() if not nn.parameter.is_lazy(parameter)]
    told = Forward(parameters=sum(parameter.numel() for parameter in known))
    told.values_in = _numel(sample)
    counter = _Tally(told)
    with ExitStack() as stack:
        for module, layer in layers.items():
            fresh = ChipLayer(layer.name, layer.chip, layer.tiling, layer.core, layer.tied_to)
            told.layers.append(fresh)
            _listen(made[id(module)], fresh, counter)
        stack.enter_context(countable_attention())
        stack.enter_context(counter)
        result = call(twin.eval(), sample)
    told.values_out = _numel(result)
    return told


def call(model: nn.Module, sample: Any) -> Any:
    """The model's answer to a tensor, a tuple of arguments, or a mapping of keywords."""
    if isinstance(sample, Mapping):
        return model(**sample)
    return model(*sample) if isinstance(sample, tuple | list) else model(sample)


def copy_of(model: nn.Module, *, meta: bool) -> tuple[nn.Module, dict[int, Any]]:
    """A copy whose tensors have no values (meta) or one value without memory of its own, and each module's copy by id.

    What is tied stays tied.
    """
    made: dict[int, Any] = {}
    for held in (*model.parameters(), *model.buffers()):
        if nn.parameter.is_lazy(held):
            continue
        if meta:
            bare = torch.empty_like(held, device="meta")
        else:
            bare = torch.zeros((), dtype=held.dtype).expand(held.shape) if held.is_meta else held.detach()
        made[id(held)] = nn.Parameter(bare, requires_grad=False) if isinstance(held, nn.Parameter) else bare
    return copies.copy_of(model, made), made


def _listen(module: nn.Module, layer: ChipLayer, counter: _Tally) -> None:
    """Note what a layer is given, and leave its own work out of that of electronics."""
    compute = module.forward
    if isinstance(module, OpticalLayer):
        core = module.core
        shape = (core.groups * core.rows, core.columns)
        biased = module.bias is not None
    else:
        biased = getattr(module, "bias", None) is not None

    def forward(*args: Tensor, **kwargs: Tensor) -> Tensor:
        (x,) = (*args, *kwargs.values())  # some networks give it by name
        with counter.paused():
            if isinstance(module, OpticalLayer):
                module.core.__dict__["cached_weight"] = lambda: x.new_zeros(shape)  # no mesh is built for a count
            y: Tensor = compute(*args, **kwargs)
        layer.uses[y.numel() // (layer.tiling.groups * layer.tiling.rows)] += 1
        layer.values_in += x.numel()
        layer.values_out += y.numel()
        counter.told.values += y.numel() if biased else 0
        return y

    module.__dict__["forward"] = forward


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what torch executes: multiply-adds of matrix products, and results of all else that computes."""

    def __init__(self, told: Forward) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.told = told
        self._off = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing meanwhile."""
        before, self._off = self._off, True
        try:
            yield
        finally:
            self._off = before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if self._off:
            return out
        packet = func._overloadpacket
        if packet in flop_registry:
            self.told.macs += int(flop_registry[packet](*args, **kwargs, out_val=out)) // 2
        elif not func.is_view and packet.__name__ not in _MOVES and _floats((args, kwargs)):
            # a norm gives its means and spreads as well
            self.told.values += max((result.numel() for result in _floats(out)), default=0)
        return out


_MOVES = frozenset(
    {
        *("_unsafe_view", "_reshape_alias", "_to_copy", "clone", "copy", "copy_", "detach", "lift_fresh", "repeat"),
        *("empty_like", "zeros_like", "ones_like", "full_like", "new_empty", "new_zeros", "new_ones", "new_full"),
        *("fill_", "zero_", "constant_pad_nd", "cat", "stack", "roll", "flip", "im2col", "native_dropout"),
        *("embedding", "index", "index_select", "gather"),
    }
)
"""Results that are moved or made up, and not computed."""


def _floats(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _numel(tree: Any) -> int:
    return sum(leaf.numel() for leaf in tree_leaves(_plain(tree)) if isinstance(leaf, Tensor))


def _plain(tree: Any) -> Any:
    """Outputs of transformers are mappings that torch's trees may not know."""
    return dict(tree) if isinstance(tree, Mapping) else tree
