"""One watched forward pass of any network: what each layer on a chip is given, and what is left to electronics.

Nothing is multiplied: the network is copied without its weights onto torch's meta device, where tensors have shapes and
no values. Where a network looks at values on its way, the same pass is run with values instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from lightloom.chips import Chip
from lightloom.cost.diffraction import LightUse, diffractive_layers, unlit
from lightloom.cost.schedule import Tiling
from lightloom.cost.trace import call, countable_attention
from lightloom.nn import OpticalLayer, TensorCore, copies, optical_layers
from lightloom.nn.plan import Planned


@dataclass
class ChipLayer:
    """One layer on a chip, and the work that one inference gives it."""

    name: str
    """Name of the layer in its model."""
    chip: Chip
    """The hardware that it is on."""
    tiling: Tiling
    """Tiling of the layer's matrices."""
    core: TensorCore | None = None
    """The programmed core; None where a layer is only planned."""
    tied_to: str = ""
    """Name of the layer whose cores it uses."""
    uses: Counter[int] = field(default_factory=Counter)
    """Number of times in one inference that it multiplies so many vectors, by number of vectors."""
    values_in: int = 0
    """Number of input activations, each counted once as stored; a convolution reads some repeatedly."""
    values_out: int = 0
    """Number of output activations."""
    biased: bool = False
    """Whether electronics adds a bias to its outputs."""

    @property
    def vectors(self) -> int:
        """Number of vectors that it multiplies in one inference, all uses together."""
        return sum(vectors * times for vectors, times in self.uses.items())

    @property
    def macs(self) -> int:
        """Number of multiply-adds of one inference, padding left out."""
        return self.tiling.groups * self.tiling.rows * self.tiling.columns * self.vectors

    @property
    def weights(self) -> int:
        """Number of weights in its matrices."""
        return self.tiling.groups * self.tiling.rows * self.tiling.columns


@dataclass
class Workload:
    """What one inference takes."""

    layers: list[ChipLayer] = field(default_factory=list)
    """Layers on tensor cores, with their work."""
    light: list[LightUse] = field(default_factory=list)
    """Diffractive layers, with the maps that they take."""
    macs: int = 0
    """Number of multiply-adds of electronics: layers that stay electronic, products of activations such as attention's,
    and the sums over channels of diffractive layers."""
    values: int = 0
    """Number of results of everything else electronic: norms, activations, softmax, sums, pooling, biases of optical
    layers."""
    values_in: int = 0
    """Number of values that the whole network takes."""
    values_out: int = 0
    """Number of values that the whole network gives."""
    parameters: int = 0
    """Number of parameters of the whole network."""


def layers_of(model: nn.Module, planned: list[Planned]) -> dict[nn.Module, ChipLayer]:
    """The layers of a model that are on tensor cores, or are planned to be.

    Args:
        model: Any network.
        planned: What `nn.plan` decided for its electronic layers.
    """
    layers: dict[nn.Module, ChipLayer] = {}
    owners: dict[int, str] = {}
    for name, layer in optical_layers(model).items():
        core = layer.core
        tied_to = owners.setdefault(id(core), name)
        tiling = Tiling(core.rows, core.columns, core.groups, core.chip.block_size)
        layers[layer] = ChipLayer(name, core.chip, tiling, core, "" if tied_to == name else tied_to)
    for plan in planned:
        if plan.chip is not None:
            tiling = Tiling(plan.rows, plan.columns, plan.groups, plan.chip.block_size)
            layers[plan.module] = ChipLayer(plan.name, plan.chip, tiling, None, plan.tied_to)
    return layers


@torch.no_grad()
def trace_workload(model: nn.Module, layers: Mapping[nn.Module, ChipLayer], sample: Any) -> Workload:
    """Run one inference without arithmetic, and write down what it takes.

    Args:
        model: Any network; it is left as it was.
        layers: Those of its modules that are on a chip.
        sample: What it takes: a tensor [1, ...], a tuple of them, or a mapping of keywords.
    """
    try:
        return _trace(model, layers, sample, meta=True)
    except (NotImplementedError, RuntimeError, TypeError):
        # a step that needs values has none on the meta device, and says so in one of these; with values, an error of
        # the network itself comes again
        return _trace(model, layers, sample, meta=False)


def _trace(model: nn.Module, layers: Mapping[nn.Module, ChipLayer], sample: Any, *, meta: bool) -> Workload:
    twin, copy_by_id = copy_of(model, meta=meta)
    if meta:
        sample = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), sample)
    initialised = [parameter for parameter in model.parameters() if not nn.parameter.is_lazy(parameter)]
    workload = Workload(parameters=sum(parameter.numel() for parameter in initialised))
    workload.values_in = _numel(sample)
    counter = _Tally(workload)
    with ExitStack() as stack:
        for module, layer in layers.items():
            fresh = ChipLayer(layer.name, layer.chip, layer.tiling, layer.core, layer.tied_to)
            workload.layers.append(fresh)
            stack.enter_context(listening(copy_by_id[id(module)], fresh, counter.paused))
        maps = stack.enter_context(unlit(twin))
        stack.enter_context(countable_attention())
        stack.enter_context(counter)
        result = call(twin.eval(), sample)
    workload.values += sum(layer.values_out for layer in workload.layers if layer.biased)
    workload.light = [LightUse(name, part, tuple(maps[name])) for name, part in diffractive_layers(model).items()]
    workload.macs += sum(use.sums for use in workload.light)
    workload.values_out = _numel(result)
    return workload


def copy_of(model: nn.Module, *, meta: bool) -> tuple[nn.Module, dict[int, Any]]:
    """A copy whose tensors have no values (meta) or one value without memory of its own, and each module's copy by id.

    What is tied stays tied.

    Args:
        model: Any network.
        meta: Whether its tensors are to have no values.
    """
    copy_by_id: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        if nn.parameter.is_lazy(tensor):
            continue
        if meta:
            bare = torch.empty_like(tensor, device="meta")
        else:
            bare = torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) if tensor.is_meta else tensor.detach()
        copy_by_id[id(tensor)] = nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare
    return copies.copy_of(model, copy_by_id), copy_by_id


@contextmanager
def listening(
    module: nn.Module, layer: ChipLayer, paused: Callable[[], AbstractContextManager[None]]
) -> Iterator[None]:
    """Meanwhile a module writes down what it is given, and multiplies by zeros: no mesh is built for a count.

    Args:
        module: An optical layer, or one that is planned to be on a chip.
        layer: Where its work is written.
        paused: A context in which the counter of electronic work counts nothing.
    """
    compute = module.forward
    layer.biased = getattr(module, "bias", None) is not None

    def forward(*args: Tensor, **kwargs: Tensor) -> Tensor:
        (x,) = (*args, *kwargs.values())  # some networks give it by name
        with paused():
            if isinstance(module, OpticalLayer):
                core = module.core
                zeros = x.new_zeros(core.groups * core.rows, core.columns)
                core.__dict__["cached_weight"] = lambda: zeros
            y: Tensor = compute(*args, **kwargs)
        layer.uses[y.numel() // (layer.tiling.groups * layer.tiling.rows)] += 1
        layer.values_in += x.numel()
        layer.values_out += y.numel()
        return y

    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if isinstance(module, OpticalLayer):
            module.core.__dict__.pop("cached_weight", None)


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what torch executes: multiply-adds of matrix products, and results of all else that computes."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.workload = workload
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
            self.workload.macs += int(flop_registry[packet](*args, **kwargs, out_val=out)) // 2
        elif not func.is_view and packet.__name__ not in _MOVES and _floats((args, kwargs)):
            # a norm gives its means and spreads as well
            self.workload.values += max((result.numel() for result in _floats(out)), default=0)
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
