"""Learning in the subspace that a specimen leaves open: singular values and norms train, U and V stay as they are.

The published way to learn on a chip (L2ight): the meshes of a manufactured chip are what they are, unknown, and the
gradient of their singular values is measured with light alone, see `physics.blocks.subspace_gradient`.
"""

from __future__ import annotations

from torch import nn

from lightloom.nn import SubspaceCore, cores, switch

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def train_only_subspace(model: nn.Module) -> list[str]:
    """Let the singular values of optical layers and the scale and shift of norms train, and nothing else.

    Args:
        model: A converted model; its optical layers are switched to mode "usv".

    Returns:
        Names of the parameters that train.

    Raises:
        ValueError: No layer of the model is on a chip with singular values.
    """
    subspaces = cores(model, SubspaceCore)
    if not subspaces:
        raise ValueError(
            "there is no subspace to learn in: the model has no layer on meshes, or on another chip with singular "
            "values; use `convert` first"
        )
    switch(model, "usv")
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    trained = {id(core.sigma) for core in subspaces.values()}
    trained |= {id(parameter) for norm in norms for parameter in norm.parameters(recurse=False)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]
