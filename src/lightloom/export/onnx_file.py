"""The realised network as an ONNX file, checked in another runtime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import write_bytes
from lightloom.export.realised import Realised, realised_network
from lightloom.export.sample_io import Sample, answers, call, difference, inputs_of, outputs_of
from lightloom.nn import optical_layers

EXACT = 1e-4
"""Difference that single precision may make, relative to the largest output."""
_LARGEST = 2**31 - 1  # bytes that one file of the format can hold


@checked
def to_onnx(
    model: nn.Module,
    sample: Sample,
    path: Path,
    *,
    tolerance: float | None = None,
    dynamic_batch: bool = True,
) -> dict[str, Any]:
    """Write the network as its chip makes it, in real arithmetic, and run the file in onnxruntime to compare.

    Weights are the effective ones of the chip, or of the specimen that is installed; converters round as they do on the
    chip. Dynamic noise is drawn once.

    Args:
        model: A converted model; it is left as it is.
        sample: Inputs, batch first. The file is checked with these and with another batch size.
        path: The file.
        tolerance: Largest difference between the runtimes, relative to the largest output. None is `EXACT`, plus one
            step of the coarsest converter: a value just between two steps may be rounded either way.
        dynamic_batch: Whether the file takes any batch size; otherwise that of the sample.

    Returns:
        `path`, `bytes`, `opset`, `inputs`, `outputs`, `difference` and `tolerance`.

    Raises:
        RequestError: The extra is not installed, no layer is on a chip, the network has an operation that the format
            lacks, or it is larger than the format allows.
        WorkError: onnxruntime computes something else.
    """
    _check_installed()
    network = _Plain(realised_network(model), sample)
    inputs = list(inputs_of(sample).values())
    with torch.no_grad():
        names = list(outputs_of(call(network.model, sample)))
        content, opset = _exported(network, inputs, list(inputs_of(sample)), names, dynamic_batch)
    allowed = _tolerance(network) if tolerance is None else tolerance
    _check_realised(model, network.model, sample, allowed)
    batches = [inputs, [_longer(tensor) for tensor in inputs]] if dynamic_batch else [inputs]
    worst = max(_compare(content, network, batch, list(inputs_of(sample)), names) for batch in batches)
    if not worst <= allowed:
        raise WorkError(
            f"onnxruntime computes something else: outputs differ by {worst:.2g} of the largest, and {allowed:.2g} is "
            "allowed. Nothing was written. If that is good enough for you, set `tolerance`."
        )
    write_bytes(path, content)
    return {
        "path": str(path),
        "bytes": len(content),
        "opset": opset,
        "inputs": list(inputs_of(sample)),
        "outputs": names,
        "difference": worst,
        "tolerance": allowed,
    }


class _Plain(nn.Module):
    """Tensors in, tensors out, in order: what an ONNX graph has."""

    def __init__(self, model: nn.Module, sample: Sample) -> None:
        super().__init__()
        self.model = model
        self.keys = list(sample) if isinstance(sample, Mapping) else None

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self.keys is not None:
            answer = self.model(**dict(zip(self.keys, inputs, strict=True)))
        else:
            answer = self.model(*inputs)
        return tuple(outputs_of(answer).values())


def _exported(
    network: nn.Module, inputs: list[Tensor], input_names: list[str], output_names: list[str], dynamic_batch: bool
) -> tuple[bytes, int]:
    # a dimension of 1 is taken for a constant
    example = tuple(_longer(tensor) if dynamic_batch and tensor.shape[0] == 1 else tensor for tensor in inputs)
    batch = torch.export.Dim("batch")
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                verbose=False,
                input_names=input_names,
                output_names=output_names,
                dynamic_shapes={"inputs": tuple({0: batch} for _ in inputs)} if dynamic_batch else None,
            )
    except Exception as error:
        cause = error.__cause__ or error
        reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        hint = " If it works on one batch size only, give `dynamic_batch=False`." if dynamic_batch else ""
        raise RequestError(f"This network cannot be written as ONNX: {reason}.{hint}") from error
    assert program is not None
    proto = program.model_proto
    if dynamic_batch and any(node.type.tensor_type.shape.dim[0].HasField("dim_value") for node in proto.graph.input):
        raise RequestError(
            "Something in this network takes the batch size for a constant, such as `len(x)` where it should be "
            f"`x.shape[0]`. Mend that, or write a file for {len(example[0])} at a time by `dynamic_batch=False`."
        )
    if proto.ByteSize() > _LARGEST:
        raise RequestError(
            f"The network takes {proto.ByteSize() / 1e9:.1f} GB, and an ONNX file holds 2 GB. Use `save` instead."
        )
    return proto.SerializeToString(), proto.opset_import[0].version


def _compare(content: bytes, network: nn.Module, batch: list[Tensor], inputs: list[str], outputs: list[str]) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in zip(inputs, batch, strict=True)}
    # an input that the network does not look at is none of the graph's
    feed = {node.name: arrays[node.name] for node in session.get_inputs()}
    answer = dict(zip(outputs, map(torch.from_numpy, session.run(outputs, feed)), strict=True))
    with torch.no_grad():
        reference = dict(zip(outputs, (tensor.cpu() for tensor in network(*batch)), strict=True))
    return difference(answer, reference)


def _check_realised(model: nn.Module, realised: nn.Module, sample: Sample, allowed: float) -> None:
    """What is written computes what the model does; where devices are noisy it cannot be told."""
    if any(layer.core.noisy for layer in optical_layers(model).values()):
        return
    if any(tensor.isnan().any() for tensor in inputs_of(sample).values()):
        raise RequestError("The sample holds NaN, which says nothing of two networks; give numbers.")
    off = difference(answers(realised, sample), answers(model, sample))
    if not off <= allowed:
        raise WorkError(f"The network to be written is off by {off:.2g} of the largest output. Nothing was written.")


def _tolerance(network: nn.Module) -> float:
    steps = [EXACT]
    for layer in network.modules():
        if isinstance(layer, Realised):
            converters = (layer.input_converter, layer.output_converter)
            widths = [converter.bits for converter in converters if converter.bits is not None]
            steps += [EXACT + 1 / max(2 ** (bits - 1) - 1, 1) for bits in widths]
    return max(steps)


def _longer(tensor: Tensor) -> Tensor:
    """A batch of twice as many and one more."""
    return torch.cat([tensor, tensor.flip(0), tensor[:1]])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says on its way: on standard output, in warnings, and to loggers."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _check_installed() -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise RequestError(
            f"ONNX files take an extra that is not installed ({', '.join(missing)}): `pip install 'lightloom[onnx]'`."
        )
