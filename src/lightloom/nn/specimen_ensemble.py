"""Many manufactured chips at once: the same network and inputs, the weights of every specimen."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from lightloom.chips import Chip
from lightloom.common.arguments import checked
from lightloom.common.checks import real_number, seed_numbers
from lightloom.common.errors import RequestError
from lightloom.nn.copies import copy_of
from lightloom.nn.core import TensorCore
from lightloom.nn.fused_sequential import fuse
from lightloom.nn.layers import optical_layers

_BUILDING = 12  # times its weights that a core takes while they are made: phases, errors, meshes
_ACTIVATIONS = 2.0  # times the largest output of a layer that is alive at once
_LARGE = 2**18  # bytes of an activation from which on torch's convolutions are best left one specimen each
_WEIGHTS = 0.5  # share of the memory that weights may take


class FixedWeightCore(nn.Module):
    """A tensor core whose matrix is given, in the place of one that would make it."""

    def __init__(self, core: TensorCore) -> None:
        super().__init__()
        self.chip: Chip = core.chip
        self.intensity = core.intensity
        self.name = core.name
        self.rows, self.columns, self.groups = core.rows, core.columns, core.groups
        self.matrix: Tensor | None = None
        """[groups * rows, columns]."""

    def weight(self) -> Tensor:
        """The matrix that was given."""
        return self.cached_weight()

    def cached_weight(self) -> Tensor:
        """The matrix that was given, for reading only."""
        if self.matrix is None:
            raise RuntimeError(f"core `{self.name}` holds no matrix")
        return self.matrix


class SpecimenEnsemble:
    """The same network on many specimens, simulated together; it never changes the model.

    The weights of all specimens are built in one go, and one forward pass under `torch.vmap` takes inputs through all
    of them; plain stacks of convolutions run in a kernel of their own where the kernels are built. Other networks with
    large convolutions pass specimen after specimen, since their time is that of arithmetic. The result is that
    of `install(model, seed)` and a call in evaluation mode, one seed after the other, to rounding. What does not depend
    on a specimen (layers that stay electronic, normalisation) is shared with the model, and cores are watched for new
    settings, so a population follows the model as it changes.

    Dynamic noise is drawn once for each specimen and call: from the default generator, so not the numbers that one
    specimen after the other would draw.

    Args:
        model: A converted model. Layers that share a core share it here.
        seeds: Which specimens of its own chip, or chips.
        memory: Bytes that weights and activations may take together, about; at least one specimen and one input are
            taken at a time.

    Raises:
        RequestError: There is no seed, the model has no layer on a chip or one with another forward, or `memory` is
            below 1.
    """

    @checked
    def __init__(self, model: nn.Module, seeds: Sequence[int], *, memory: int = 2**30) -> None:
        self.seeds = seed_numbers(seeds)
        if not self.seeds:
            raise RequestError("A population has at least one specimen; give at least one seed.")
        self.model = model
        self.memory = real_number(memory, "memory", least=1, mend="It counts bytes.")
        self._cores = list(dict.fromkeys(layer.core for layer in optical_layers(model).values()))
        if not self._cores:
            raise RequestError("The model has no layer on a chip, so all specimens are the same; convert it first.")
        for name, layer in optical_layers(model).items():
            if "forward" in vars(layer):
                raise RequestError(
                    f"The forward of layer `{name}` has been replaced by another, which would compute with the "
                    "specimen that is installed. Give it back its own: `del layer.forward`."
                )
        self._parts: list[Any] = []
        self._follow()
        self._weights_of: dict[TensorCore, tuple[tuple[int, ...], Tensor]] = {}
        self._largest: dict[torch.Size, int] = {}
        self.vectorised = True
        """Whether one pass serves all specimens; False once the model turned out to be one that `torch.vmap` cannot
        take, after which specimens pass one after the other, still with weights that were made together."""

    def _follow(self) -> None:
        """Make the twin, again where a layer or a tensor of the model has been replaced by another."""
        parts = [*self.model.modules(), *self.model.parameters(), *self.model.buffers()]
        if len(parts) == len(self._parts) and all(map(operator.is_, parts, self._parts)):
            return
        self._parts = parts
        self._cores = list(dict.fromkeys(layer.core for layer in optical_layers(self.model).values()))
        self._twin, self._held = _twin(self.model, self._cores)
        self._fused = fuse(self._twin)

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        """The seeds whose weights are held at once."""
        sizes = [core.groups * core.rows * core.columns * _bytes(core) for core in self._cores]
        each = sum(sizes) + _BUILDING * max(sizes)
        count = max(1, int(_WEIGHTS * self.memory / each))
        return tuple(self.seeds[start : start + count] for start in range(0, len(self.seeds), count))

    def parts(self) -> Iterator[SpecimenEnsemble]:
        """Populations of one chunk each, which keep their weights from call to call, but for those that are noisy."""
        for seeds in self.chunks:
            part = copy.copy(self)
            part.seeds, part._weights_of = seeds, {}
            yield part
            self.vectorised = part.vectorised

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Any:
        """The outputs of all specimens.

        Args:
            inputs: [batch, ...], the same for all. They pass in several parts where memory asks for it, so no sample
                may depend on another.

        Returns:
            [S, batch, ...]; a structure of such tensors where the model returns one.
        """
        self._follow()
        chunks = self.chunks
        if len(chunks) > 1:
            return _joined([part(inputs) for part in self.parts()], 0)
        weights = [self._weights(core) for core in self._cores]
        size = self._images_at_once(weights, inputs)
        return _joined([self._forward(weights, part) for part in torch.split(inputs, size)], 1)

    def _weights(self, core: TensorCore) -> Tensor:
        """[S, groups * rows, columns], made again where they are noisy or the core was set to something else."""
        if core.noisy:
            return core.specimen_weights(self.seeds)
        version = core.version()
        stored = self._weights_of.get(core)
        if stored is None or stored[0] != version:
            stored = self._weights_of[core] = version, core.specimen_weights(self.seeds)
        return stored[1]

    def _forward(self, weights: list[Tensor], inputs: Tensor) -> Any:
        small = len(inputs) * self._largest.get(inputs.shape[1:], 0) < _LARGE
        if self.vectorised and (self._fused or small):
            try:
                with sdpa_kernel(SDPBackend.MATH):  # the only attention that can be vectorised
                    return torch.vmap(self._one, in_dims=(0, None), randomness="different")(weights, inputs)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, NotImplementedError):
                self.vectorised = False  # whatever else is wrong is raised by the first specimen's own pass
        outputs = [self._one([matrices[number] for matrices in weights], inputs) for number in range(len(self.seeds))]
        return pytree.tree_map(lambda *parts: torch.stack(parts), *outputs)

    def _one(self, matrices: Sequence[Tensor], inputs: Tensor) -> Any:
        """One specimen's outputs."""
        try:
            for core, matrix in zip(self._held, matrices, strict=True):
                core.matrix = matrix
            return self._twin(inputs)
        finally:
            for core in self._held:
                core.matrix = None

    def _images_at_once(self, weights: list[Tensor], inputs: Tensor) -> int:
        """How many inputs pass together: as many as the memory that is left holds activations of."""
        shape = inputs.shape[1:]
        if not len(inputs):
            return 1
        if shape not in self._largest:
            self._largest[shape] = self._largest_activation([matrices[0] for matrices in weights], inputs[:1])
        room = (1 - _WEIGHTS) * self.memory / (_ACTIVATIONS * len(self.seeds) * max(1, self._largest[shape]))
        return max(1, min(len(inputs), int(room)))

    def _largest_activation(self, matrices: list[Tensor], inputs: Tensor) -> int:
        """Bytes of the largest output of any layer."""
        sizes = [0]

        def look(module: nn.Module, arguments: Any, output: Any) -> None:
            sizes.append(sum(leaf.nbytes for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)))

        hooks = [module.register_forward_hook(look) for module in self._twin.modules()]
        try:
            self._one(matrices, inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return max(sizes)


def _twin(model: nn.Module, cores: list[TensorCore]) -> tuple[nn.Module, list[FixedWeightCore]]:
    """The model's own layers around cores that hold what they are given; parameters and buffers are shared with it."""
    stand_ins = [FixedWeightCore(core) for core in cores]
    memo: dict[int, Any] = {id(core): stand_in for core, stand_in in zip(cores, stand_ins, strict=True)}
    inside = {id(tensor) for core in cores for tensor in (*core.parameters(), *core.buffers())}
    for tensor in (*model.parameters(), *model.buffers()):
        if id(tensor) not in inside:
            memo[id(tensor)] = tensor
    twin: nn.Module = copy_of(model, memo)
    return twin.eval(), stand_ins


def _bytes(core: TensorCore) -> int:
    return next(core.parameters()).element_size()


def _joined(parts: list[Any], dim: int) -> Any:
    if len(parts) == 1:
        return parts[0]
    return pytree.tree_map(lambda *tensors: torch.cat(tensors, dim), *parts)
