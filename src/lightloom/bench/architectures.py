"""Claim: every architecture of `transformers` that can be tried computes on an ideal chip what it computes without."""

from __future__ import annotations

import copy
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightloom.bench.kernels import ask_for_kernels
from lightloom.bench.random_inputs import random_inputs
from lightloom.bench.tiny_configs import tiny_configs
from lightloom.chips import preset
from lightloom.common.progress import follow
from lightloom.nn import convert, optical_layers, to_electronic
from lightloom.nn.backbones.checkpoints import transformers

TOLERANCE = 1e-5
"""Largest difference, relative to the largest number of an output, that counts as the same."""
_LARGEST = 20_000_000  # parameters of a network that is still tried
_PATIENCE = 120.0  # seconds for one architecture
_TOGETHER = 16  # architectures of one process


@dataclass
class Outcome:
    """What became of one architecture."""

    name: str
    """Name of the architecture, its `model_type`."""
    state: Literal["not built", "no input", "failed", "differs", "agrees"] = "not built"
    why: str = ""
    """The last error, or the layers that differ."""
    difference: float = 0.0
    """The largest between electronic and optical outputs, relative to the largest number of the output."""
    back: float = 0.0
    """The same after `to_electronic`."""
    layers: int = 0
    """Layers with weights."""
    optical: int = 0
    """Put on the chip."""
    called: int = 0
    """Layers with weights that the input passed."""
    reads: int = 0
    """Layers with weights that another module reads itself."""


def architectures(*, seed: int = 0, only: Sequence[str] | None = None) -> dict[str, Any]:
    """Build every architecture of the installed `transformers` small, and compare it with itself on an ideal chip.

    Args:
        seed: Of weights and inputs.
        only: Names (`model_type`) to try; None is all.

    Returns:
        Counts: `known`, `built`, `run` (took random input), `agree`, `layers`, `optical` and `called`; the largest
        `difference`; for everything else a reason by name: `not_built`, `no_input`, `failed`, `differs`.

    Raises:
        RequestError: `transformers` is not there.
    """
    library = transformers()
    note = ask_for_kernels()
    started = time.perf_counter()
    names = list(only or _known())
    parts = [names[start : start + _TOGETHER] for start in range(0, len(names), _TOGETHER)]
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, follow("architectures", len(names)) as report_progress:
        for part in pool.map(lambda part: _in_processes(part, seed), parts):
            outcomes += part
            report_progress(len(outcomes), outcomes[-1].name)
    run = [outcome for outcome in outcomes if outcome.state in ("failed", "differs", "agrees")]
    agree = [outcome for outcome in run if outcome.state == "agrees"]
    counts = {field: sum(getattr(outcome, field) for outcome in agree) for field in ("layers", "optical", "called")}
    reasons = {
        state.replace(" ", "_"): {outcome.name: outcome.why for outcome in outcomes if outcome.state == state}
        for state in ("not built", "no input", "failed", "differs")
    }
    return {
        "known": len(outcomes),
        "built": sum(outcome.state != "not built" for outcome in outcomes),
        "run": len(run),
        "agree": len(agree),
        "difference": max((outcome.difference for outcome in agree), default=0.0),
        **counts,
        "read": [outcome.name for outcome in agree if outcome.reads],
        **reasons,
        "seconds": round(time.perf_counter() - started),
        "note": note,
        "transformers": library.__version__,
        "torch": str(torch.__version__),
    }


def compare(name: str, seed: int = 0) -> Outcome:
    """Build one architecture small and compare its outputs with those of its converted form.

    Args:
        name: Its `model_type`, such as `whisper`.
        seed: Of weights and inputs.
    """
    outcome = Outcome(name)
    for model, inputs in _runnable(name, seed, outcome):
        outcome.state = "failed"
        try:
            _compare(model, inputs, seed, outcome)
        except Exception as error:
            outcome.why = _text(error)
        return outcome
    return outcome


def _known() -> list[str]:
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    return sorted(MODEL_MAPPING_NAMES)


def _runnable(name: str, seed: int, outcome: Outcome) -> Iterator[tuple[nn.Module, dict[str, Any]]]:
    """The smallest networks of an architecture that take some random input, each with that."""
    library = transformers()
    try:
        kind = library.CONFIG_MAPPING[name]
        network = library.MODEL_MAPPING[kind]
        network = network[0] if isinstance(network, list | tuple) else network
    except Exception as error:  # some entries name what is not there
        outcome.why = _text(error)
        return
    for config in tiny_configs(kind):
        try:
            model = _built(network, config, seed)
        except Exception as error:  # whatever a class raises at sizes that it was not made for
            outcome.why = outcome.why or _text(error)
            continue
        outcome.state = "no input"
        for inputs in random_inputs(model):
            try:
                _outputs(model, inputs, seed)
            except Exception as error:
                outcome.why = _text(error)
                continue
            outcome.why = ""
            yield model, inputs


def _built(network: Any, config: Any, seed: int) -> nn.Module:
    try:
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in network(config).parameters())
    except (NotImplementedError, RuntimeError):
        size = 0  # a class that computes with numbers while it is made
    if size > _LARGEST:
        raise ValueError(f"{size:,} parameters are more than are tried")
    torch.manual_seed(seed)
    model: nn.Module = network(config).eval()
    with torch.no_grad():  # biases and scales often start at zero, where nothing would be seen of a fault
        for parameter in model.parameters():
            if parameter.is_floating_point():
                width = parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 1.0
                parameter.add_(0.1 / width * torch.randn_like(parameter))
    return model


def _compare(model: nn.Module, inputs: dict[str, Any], seed: int, outcome: Outcome) -> None:
    """Fill in the outcome. In double precision where single precision leaves a difference."""
    for precise in (False, True):
        if precise:
            model, inputs = model.double(), {name: _doubled(value) for name, value in inputs.items()}
        expected = _outputs(model, inputs, seed)
        if _difference(expected, _outputs(model, inputs, seed)) > 0:
            outcome.why = "its own outputs differ from pass to pass"
            return
        conversion = convert(model, preset("ideal"))
        layers = optical_layers(conversion.model)
        modules: set[nn.Module] = set()
        for layer in layers.values():
            layer.register_forward_hook(_recorder(modules))
        outcome.difference = _difference(expected, _outputs(conversion.model, inputs, seed))
        outcome.layers, outcome.optical, outcome.called = len(conversion.layers), len(layers), len(modules)
        outcome.reads = len({read.layer for read in conversion.reads})
        back = to_electronic(conversion.model)
        outcome.back = _difference(expected, _outputs(back, inputs, seed))
        if max(outcome.difference, outcome.back) <= TOLERANCE and list(back.state_dict()) == list(model.state_dict()):
            outcome.state, outcome.why = "agrees", ""
            return
    outcome.state, outcome.why = "differs", f"by {outcome.difference:.1e}, and {outcome.back:.1e} back in electronics"


def _recorder(modules: set[nn.Module]) -> Callable[..., None]:
    """A hook that notes its layer; a function, which copies of the network share."""

    def record(layer: nn.Module, *_: Any) -> None:
        modules.add(layer)

    return record


def _outputs(model: nn.Module, inputs: dict[str, Any], seed: int) -> list[Tensor]:
    torch.manual_seed(seed)
    with torch.no_grad():
        outputs = _tensors(model(**copy.deepcopy(inputs)))
    if not outputs:
        raise ValueError("no tensor comes out")
    return outputs


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts = list(value.values()) if isinstance(value, dict) else value
    return [t for part in parts for t in _tensors(part)] if isinstance(parts, list | tuple) else []


def _difference(expected: list[Tensor], outputs: list[Tensor]) -> float:
    """The largest, relative to the largest number of each output; infinite where form or whole numbers differ."""
    if [(t.shape, t.dtype) for t in expected] != [(t.shape, t.dtype) for t in outputs]:
        return float("inf")
    largest = 0.0
    for one, other in zip(expected, outputs, strict=True):
        if not one.is_floating_point():
            largest = largest if torch.equal(one, other) else float("inf")
        elif one.numel():
            finite = torch.isfinite(one)
            if not torch.equal(finite, torch.isfinite(other)):
                return float("inf")
            scale = one[finite].abs().max() if finite.any() else torch.ones(())
            distance = (one - other)[finite].abs().max() if finite.any() else torch.zeros(())
            largest = max(largest, float(distance / scale) if scale > 0 else float(distance))
    return largest


def _doubled(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}"


# each architecture in a process that others do not share for long, since any of them may crash or hang


def report(seed: str, *names: str) -> None:
    """Write the outcome of each name as a line of JSON; what `architectures` calls in processes of their own.

    Args:
        seed: Seed of weights and inputs, as text.
        *names: Names of architectures.
    """
    torch.set_num_threads(1)
    transformers().logging.set_verbosity_error()
    for name in names:
        sys.stdout.write(json.dumps(asdict(compare(name, int(seed)))) + "\n")
        sys.stdout.flush()


def _in_processes(names: list[str], seed: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    while len(outcomes) < len(names):
        outcomes += _in_process(names[len(outcomes) :], seed)
    return outcomes


def _in_process(names: list[str], seed: int) -> list[Outcome]:
    """The outcomes of the first names, until the process ends; at least one."""
    code = "import sys; from lightloom.bench.architectures import report; report(*sys.argv[1:])"
    outcomes: list[Outcome] = []
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(seed), *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as child:
        assert child.stdout is not None
        while len(outcomes) < len(names):
            ready, _, _ = select.select([child.stdout], [], [], _PATIENCE)
            line = child.stdout.readline() if ready else b""
            if not line:
                child.kill()
                why = "its process ended" if ready else f"it took more than {_PATIENCE:.0f} s"
                return [*outcomes, Outcome(names[len(outcomes)], "failed", why)]
            outcomes.append(Outcome(**json.loads(line)))
    return outcomes
