"""No way of changing a parameter, a buffer or a device leaves a layer answering with an old weight."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, parametrize, vector_to_parameters
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import SpecimenEnsemble, convert, install
from lightloom.nn.cache import held

X = torch.linspace(-1, 1, 48).reshape(8, 6)
CHIPS = {
    "mesh": (chips.preset("l2ight"), "usv"),
    "phases": (chips.preset("l2ight"), "phase"),
    "complex": (chips.preset("l2ight").replace(field="complex"), "usv"),
    "pcm": (chips.preset("elight").replace(absorption_std=0.02, stuck_fraction=0.01), None),
}
kinds = pytest.mark.parametrize("kind", CHIPS)


def network(kind: str, *, bias: bool = True) -> nn.Module:
    torch.manual_seed(0)
    chip, mode = CHIPS[kind]
    model = convert(nn.Sequential(nn.Linear(6, 7, bias), nn.ReLU(), nn.Linear(7, 5, bias)), chip, mode=mode).model  # type: ignore[arg-type]
    install(model, 0)
    return model


def evaluate(model: nn.Module) -> Tensor:
    with torch.no_grad():
        output: Tensor = model.eval()(X)
    return output


def check(model: nn.Module) -> None:
    """A copy has nothing stored, so what it answers is made from the tensors as they are."""
    torch.testing.assert_close(evaluate(model), evaluate(copy.deepcopy(model)), rtol=0, atol=0)


def changed(model: nn.Module, before: Tensor) -> None:
    check(model)
    assert not torch.equal(evaluate(model), before)


# optimisers

_MATRICES_ONLY = {"Muon"}  # it refuses the shapes of settings with a message of its own
_OPTIMISERS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
)


def _forms(name: str) -> Iterator[dict[str, Any]]:
    yield {}
    for form in ("foreach", "fused"):
        try:
            getattr(torch.optim, name)([torch.zeros(2, requires_grad=True)], **{"lr": 0.1, form: True})
        except (TypeError, RuntimeError, ValueError, NotImplementedError):
            continue
        yield {form: True}


def _step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    def closure() -> Tensor:
        optimiser.zero_grad()
        loss: Tensor = model.train()(X).square().mean()
        loss.backward()
        return loss

    optimiser.step(closure)


@pytest.mark.parametrize("name", [name for name in _OPTIMISERS if name not in _MATRICES_ONLY | {"SparseAdam"}])
@kinds
def test_optimisers(kind: str, name: str) -> None:
    for form in _forms(name):
        model = network(kind)
        before = evaluate(model)
        optimiser = getattr(torch.optim, name)(model.parameters(), lr=0.1, **form)
        for _ in range(2):
            _step(model, optimiser)
            changed(model, before)
            before = evaluate(model)
        del optimiser
        check(model)


# writes that leave no trace


def _each(write: Callable[[nn.Parameter], Any]) -> Callable[[nn.Module], None]:
    def apply(model: nn.Module) -> None:
        for parameter in model.parameters():
            write(parameter)

    return apply


def _numpy(parameter: nn.Parameter) -> None:
    view = parameter.detach().numpy()
    view *= 0.5


def _set(parameter: nn.Parameter) -> None:
    with torch.no_grad():
        parameter.set_(parameter.detach() * 0.5)  # type: ignore[call-overload]


def _data(parameter: nn.Parameter) -> None:
    parameter.data = parameter.data * 0.5


def _storage(parameter: nn.Parameter) -> None:
    halves = parameter.detach() * 0.5
    parameter.untyped_storage().copy_(halves.untyped_storage())


def _dlpack(parameter: nn.Parameter) -> None:
    torch.from_dlpack(parameter.detach()).mul_(0.5)


def _swap(parameter: nn.Parameter) -> None:
    torch.utils.swap_tensors(parameter, nn.Parameter(parameter.detach() * 0.5, parameter.requires_grad))


def _vector(model: nn.Module) -> None:
    vector_to_parameters(parameters_to_vector(model.parameters()) * 0.5, model.parameters())


def _load(model: nn.Module, *, assign: bool = False) -> None:
    state = model.state_dict()
    halves = {k: v * 0.5 if v.is_floating_point() and not k.endswith("signs") else v for k, v in state.items()}
    model.load_state_dict(halves, assign=assign)


def _replace(model: nn.Module) -> None:
    for part in model.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(parameter.detach() * 0.5, parameter.requires_grad))


WRITES: dict[str, Callable[[nn.Module], Any]] = {
    ".data.mul_": _each(lambda p: p.data.mul_(0.5)),
    ".data =": _each(_data),
    ".data.copy_": _each(lambda p: p.data.copy_(p.data * 0.5)),
    "one number": _each(lambda p: p.data.view(-1)[0].add_(0.3)),
    "numpy": _each(_numpy),
    "set_": _each(_set),
    "storage": _each(_storage),
    "dlpack": _each(_dlpack),
    "swap_tensors": _each(_swap),
    "vector_to_parameters": _vector,
    "load_state_dict": _load,
    "load_state_dict, assign": lambda model: _load(model, assign=True),
    "new parameters": _replace,
    "apply": lambda model: model.apply(lambda part: [p.data.mul_(0.5) for p in part.parameters(recurse=False)]),
    "state_dict": lambda model: [v.mul_(0.5) for v in model.state_dict().values() if v.is_floating_point()],
    "buffers": lambda model: [b.data.mul_(0.5) for b in model.buffers() if b.is_floating_point()],
    "double and back": lambda model: model.double().float(),
}


@pytest.mark.parametrize("write", WRITES)
@kinds
def test_writes(kind: str, write: str) -> None:
    model = network(kind, bias=False)
    before = evaluate(model)
    evaluate(model)
    WRITES[write](model)
    check(model)
    if write not in ("buffers", "double and back"):
        assert not torch.equal(evaluate(model), before)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(CHIPS)), st.lists(st.sampled_from([*WRITES, "evaluate", "step"]), min_size=2, max_size=6))
def test_any_order_of_writes(kind: str, sequence: list[str]) -> None:
    model = network(kind)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    for name in sequence:
        if name == "evaluate":
            evaluate(model)
        elif name == "step":
            _step(model, optimiser)
        else:
            WRITES[name](model)
        check(model)


@kinds
def test_an_alias_that_outlives_many_calls(kind: str) -> None:
    model = network(kind)
    alias = [parameter.detach().numpy() for parameter in model.parameters()]
    for _ in range(4):
        evaluate(model)
        evaluate(model)
        for view in alias:
            view += 0.01
        check(model)


def test_memory_of_somebody_else() -> None:
    model = network("mesh")
    array = np.ones(tuple(model[0].core.sigma.shape), dtype=np.float32)  # type: ignore[union-attr]
    model[0].core.sigma = nn.Parameter(torch.from_numpy(array))  # type: ignore[union-attr]
    for _ in range(3):
        before = evaluate(model)
        evaluate(model)
        array *= 1.1
        changed(model, before)


@pytest.mark.parametrize(
    "write", [lambda t: t.add_(0.3), lambda t: t.data.add_(0.3), lambda t: t.numpy().__iadd__(0.3)]
)
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        *(("mesh", f) for f in ("u_gamma", "v_gamma", "sigma_gamma", "u_bias", "v_bias", "u_signs", "gain")),
        ("pcm", "absorption"),
        ("pcm", "gain"),
    ],
)
def test_hidden_errors_edited_in_place(kind: str, field: str, write: Callable[[Tensor], Any]) -> None:
    model = network(kind)
    before = evaluate(model)
    evaluate(model)
    write(getattr(model[0].core, field))  # type: ignore[union-attr]
    check(model)
    if field != "gain":
        assert not torch.equal(evaluate(model), before)


@kinds
def test_another_specimen_and_another_chip(kind: str) -> None:
    model = network(kind)
    before = evaluate(model)
    install(model, 1)
    changed(model, before)
    for part in (model[0], model[2]):
        part.core.chip = part.core.chip.replace(
            **({"crosstalk": 0.05} if kind != "pcm" else {"drift_nu": 0.1, "drift_time": 1e6})
        )  # type: ignore[union-attr]
    changed(model, evaluate(copy.deepcopy(network(kind))))


@kinds
def test_functional_call_with_parameters_made_on_the_spot(kind: str) -> None:
    model = network(kind, bias=False)
    base = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        for turn in range(40):
            settings_ = {name: value * (0.1 + 0.1 * turn) for name, value in base.items()}
            output = functional_call(model, settings_, (X,))
            fresh.load_state_dict({**fresh.state_dict(), **settings_})
            torch.testing.assert_close(output, evaluate(copy.deepcopy(fresh)), rtol=0, atol=0)
            del settings_, output
    check(model)


def test_parametrizations_of_a_core() -> None:
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 0.5

    model = network("phases")
    before = evaluate(model)
    parametrize.register_parametrization(model[0].core, "sigma", Half())  # type: ignore[union-attr, arg-type]
    assert not torch.equal(evaluate(model), before)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, fused=True)
    for _ in range(2):
        before = evaluate(model)
        _step(model, optimiser)
        assert not torch.equal(evaluate(model), before)
    weights = [layer.core.weight().detach().clone() for layer in (model[0], model[2])]  # type: ignore[union-attr, operator]
    parametrize.remove_parametrizations(model[0].core, "sigma")  # type: ignore[union-attr, arg-type]
    for layer, weight in zip((model[0], model[2]), weights, strict=True):
        torch.testing.assert_close(layer.core.weight().detach(), weight)  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("average", [None, get_ema_multi_avg_fn(0.5)])
@kinds
def test_averaged_models(kind: str, average: Any) -> None:
    model = network(kind)
    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=False)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        evaluate(averaged)
        _step(model, optimiser)
        averaged.update_parameters(model)
        check(averaged)


@kinds
def test_threads(kind: str) -> None:
    """Two threads evaluate, a third one writes; when it is done, everybody sees what it wrote last."""
    model = network(kind)
    stop = threading.Event()
    errors: list[BaseException] = []

    def reader() -> None:
        try:
            while not stop.is_set():
                evaluate(model)
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=reader) for _ in range(2)]
    for thread in readers:
        thread.start()
    for turn in range(60):
        for parameter in model.parameters():
            parameter.data.mul_(0.5 if turn % 2 else 2)
            parameter.data.add_(0.001)
    stop.set()
    for thread in readers:
        thread.join()
    assert not errors
    check(model)


@kinds
def test_what_is_handed_out_is_not_what_is_stored(kind: str) -> None:
    model = network(kind)
    before = evaluate(model)
    with torch.no_grad():
        for layer in (model[0], model[2]):
            with pytest.raises(RequestError, match="program"):
                layer.weight.zero_()  # type: ignore[union-attr, operator]
            layer.weight.detach().clone().zero_()  # type: ignore[union-attr, operator]
            layer.core.weight().mul_(3)  # type: ignore[union-attr, operator]
            for name in ("meshes", "levels"):
                if hasattr(layer.core, name):
                    result = getattr(layer.core, name)()
                    for tensor in result if isinstance(result, tuple) else (result,):
                        tensor.zero_()
    torch.testing.assert_close(evaluate(model), before, rtol=0, atol=0)


def test_state_that_is_handed_out_can_be_edited_and_is_then_seen() -> None:
    model = network("phases")
    model[0].core.state()["sigma"].mul_(0.5)  # type: ignore[union-attr, operator]
    check(model)


def test_on_an_ideal_chip_realised_settings_do_not_lead_around_the_comparison() -> None:
    model = convert(nn.Sequential(nn.Linear(6, 5)), chips.preset("ideal"), mode="phase").model
    before = evaluate(model)
    with torch.no_grad():
        model[0].core.realised_phases("u").add_(0.1)  # type: ignore[union-attr, operator]
        model[0].core.realised_sigma().mul_(0.5)  # type: ignore[union-attr, operator]
    check(model)
    assert before.shape == (8, 5)


@kinds
def test_populations_follow_the_model(kind: str) -> None:
    model = network(kind)
    population = SpecimenEnsemble(model, [0, 1])
    population(X)
    for write in (".data.mul_", "numpy", "new parameters"):
        WRITES[write](model)
        torch.testing.assert_close(population(X), SpecimenEnsemble(copy.deepcopy(model), [0, 1])(X), rtol=0, atol=0)


def test_nothing_is_made_twice_where_nobody_looked() -> None:
    """The other side: in plain evaluation tensors are not even compared, and with an optimiser around only compared."""
    model = network("mesh")
    core = model[0].core  # type: ignore[union-attr]

    def stored() -> Tensor:
        with torch.no_grad():
            weight: Tensor = core.cached_weight()  # type: ignore[operator, union-attr]
        return weight

    weight = stored()
    assert not core._suspects(core.dependencies)  # type: ignore[union-attr, operator, arg-type]
    evaluate(model)
    assert stored() is weight
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    evaluate(model)
    assert stored() is weight
    assert core._suspects(core.dependencies)  # type: ignore[union-attr, operator, arg-type]
    del optimiser
    evaluate(model)
    assert not core._suspects(core.dependencies)  # type: ignore[union-attr, operator, arg-type]


@pytest.mark.parametrize(
    "hold",
    [
        lambda t: t,
        lambda t: t.data,
        lambda t: t.detach().numpy(),
        lambda t: t.view(-1),
        lambda t: t.untyped_storage(),
        lambda t: memoryview(t.detach().numpy()),
        lambda t: t.detach()[1:],
    ],
)
def test_holders_are_seen(hold: Callable[[Tensor], Any]) -> None:
    tensors = {"one": nn.Parameter(torch.ones(4))}
    assert not held(tensors, "one")
    alias = hold(tensors["one"])
    assert held(tensors, "one")
    del alias


# tools


def test_trainer_of_transformers_and_accelerate(tmp_path: Any) -> None:
    accelerate = pytest.importorskip("accelerate")
    model = network("mesh")
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    accelerator = accelerate.Accelerator(cpu=True)
    prepared, optimiser = accelerator.prepare(model, optimiser)
    for _ in range(2):
        before = evaluate(prepared)
        accelerator.backward(prepared.train()(X).square().mean())
        optimiser.step()
        optimiser.zero_grad()
        changed(accelerator.unwrap_model(prepared), before)


def test_trainer_of_transformers(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")

    class Regression(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network("mesh")

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            output = self.body(x)
            return {"loss": (output - labels).square().mean(), "logits": output}

    model = Regression()
    before = evaluate(model.body)
    data = [{"x": row, "labels": torch.zeros(5)} for row in X]
    arguments = transformers.TrainingArguments(
        str(tmp_path),
        num_train_epochs=2,
        eval_strategy="epoch",
        learning_rate=0.1,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        optim="adamw_torch_fused",
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data)
    trainer.train()
    loss = trainer.evaluate()["eval_loss"]
    changed(model.body, before)
    assert loss == pytest.approx(float(evaluate(copy.deepcopy(model.body)).square().mean()), rel=1e-5)
