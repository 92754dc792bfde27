"""What a layer has beside its weight, which goes with it when another layer takes its place."""

from __future__ import annotations

from types import MethodType

from torch import nn

_BOOKKEEPING = {*vars(nn.Module()), "_compiled_call_impl", "forward"}
_HOOKS = ("_forward_", "_backward_", "_is_full_")
_OWN = {
    *("core", "sampler", "narrow", "electronic", "input_converter", "output_converter"),
    *("q_proj", "k_proj", "v_proj"),
}
"""What optical layers and opened attention hold, and no electronic layer does."""
_FIELDS = {"weight", "bias", "in_proj_weight", "in_proj_bias", "q_proj_weight", "k_proj_weight", "v_proj_weight"}
"""What electronic layers hold as parameters, and optical ones make anew."""
_STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def carry_over(old: nn.Module, new: nn.Module) -> None:
    """Give a layer what another has and it has not: attributes, buffers, parameters and modules, each as it is.

    Args:
        old: The layer that is replaced.
        new: The layer in its place; what it has already stays.
    """
    for name, value in vars(old).items():
        if name not in _BOOKKEEPING and name not in _OWN and not _has(new, name):
            bound = isinstance(value, MethodType) and value.__self__ is old
            setattr(new, name, MethodType(value.__func__, new) if bound else value)
    for name, parameter in old._parameters.items():
        if not _has(new, name):
            new.register_parameter(name, parameter)
    for name, buffer in old._buffers.items():
        if not _has(new, name):
            new.register_buffer(name, buffer, persistent=name not in old._non_persistent_buffers_set)
    for name, module in old._modules.items():
        if name not in _OWN and not _has(new, name):
            new.register_module(name, module)


def carry_hooks(old: nn.Module, new: nn.Module) -> None:
    """Give a layer the forward and backward hooks of another; a handle still takes its hook away.

    Args:
        old: The layer that has them.
        new: The layer that gets them, too.
    """
    for name, hooks in vars(old).items():
        if name.startswith(_HOOKS) and hooks:
            setattr(new, name, hooks)


def why_left_behind(layer: nn.Module, optical: type[nn.Module]) -> str:
    """What an optical layer could not take over from an electronic one, as a reason; empty where there is nothing.

    Args:
        layer: The electronic layer.
        optical: Class of what would take its place.
    """
    if any(getattr(layer, name, None) for name in _STATE_HOOKS):
        return "it has hooks on its state dict, which would meet other names"
    own = {*vars(layer), *layer._parameters, *layer._buffers, *layer._modules} - _BOOKKEEPING
    for name in sorted(own):
        if name in _OWN or (hasattr(optical, name) and not hasattr(type(layer), name) and name not in _FIELDS):
            return f"its attribute `{name}` has the name of one that optical layers need for themselves"
    return ""


def _has(module: nn.Module, name: str) -> bool:
    own = (vars(module), module._parameters, module._buffers, module._modules)
    return hasattr(type(module), name) or any(name in part for part in own)
