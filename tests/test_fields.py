"""Every number of a config has a bound, and what a config says survives its file."""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lightloom.chips.technologies import TECHNOLOGIES
from lightloom.common.arguments import alternatives, fits
from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.config import override, to_yaml
from lightloom.recipes import resolve
from lightloom.tasks import TASKS, read_config
from lightloom.tasks.classification.config import ClassificationConfig

EXTREMES = (float("nan"), float("inf"), float("-inf"), 1e31, -1e31, 10**400, 1e-31, True)


def sections(kind: type[Section], known: set[type[Section]]) -> Iterator[type[Section]]:
    if kind in known:
        return
    known.add(kind)
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for inner in inside(hint):
            yield from sections(inner, known)


def inside(hint: Any) -> Iterator[type[Section]]:
    if isinstance(hint, type) and issubclass(hint, Section):
        yield hint
    for part in typing.get_args(hint):
        yield from inside(part)


KNOWN: set[type[Section]] = set()
NUMBERS = [
    (kind, name)
    for root in (*(task.config for task in TASKS.values()), *(each.chip for each in TECHNOLOGIES.values()))
    for kind in sections(root, KNOWN)
    for name, field in kind.model_fields.items()
    if any(part in (int, float) for part in alternatives(field.annotation))
]


def reject(kind: type[Section], name: str, value: object) -> bool:
    """Whether the field itself refuses the value, whatever else is missing."""
    try:
        kind.model_validate({name: value})
    except ValidationError as error:
        return any(problem["loc"][:1] == (name,) for problem in error.errors(include_input=False))
    except OverflowError:
        return True
    return False


def test_the_walk_reaches_every_part_of_a_config() -> None:
    kinds = {kind.__name__ for kind, _ in NUMBERS}
    assert {
        "ClassificationConfig",
        "TrainConfig",
        "MeshChip",
        "PCMChip",
        "Constant",
        "System",
        "Detector3DConfig",
    } <= kinds
    assert len(NUMBERS) > 130


@pytest.mark.parametrize(("kind", "name"), NUMBERS, ids=lambda part: getattr(part, "__name__", part))
def test_no_number_is_without_bounds(kind: type[Section], name: str) -> None:
    whole = float not in alternatives(kind.model_fields[name].annotation)
    for value in (*EXTREMES, *((2**64, -(2**64)) if whole else ())):
        assert reject(kind, name, value), f"{kind.__name__}.{name} takes {value!r}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("threads=100000", "no machine has as many cores"),
        ("model.width=100000", "would not fit into any memory"),
        ("model.width=60000", "GB of memory"),
        ("data.size=2000", "GB of memory"),
        ("chip.block_size=1024", "k^3"),
        ("chip.gamma_std=1e30", "half of gamma"),
        ("chip.v_pi=1e-20", "noise alone"),
        ("bench.accuracy=1e-300", "single precision"),
        ("train.epochs=true", "give a number"),
        ("seed=yes", "give a number"),
        ("specimen=18446744073709551616", "64 bits"),
        ("chip.devices.symbol_rate.value=0", "would take for ever"),
        ("chip.devices.laser_efficiency.value=0", "efficiency"),
        ("chip.devices.mzi_loss.value=1e9", "no photon is left"),
        ("quick=maybe", "true or false"),
        ("quick=1", "true or false"),
        ("data.augment=maybe", "boolean"),
        ("criterion=mes", "cross_entropy"),
        ("stages=[trane]", "stages.0"),
        ("chip=aonn", "chips.absorber('aonn')"),
        ("chip=l2igt", "Did you mean `l2ight`?"),
        ("chip.field=2020-13-45", "not YAML"),
    ],
)
def test_a_request_out_of_range_is_told_why(change: str, says: str) -> None:
    with pytest.raises(RequestError) as error:
        resolve("onchip/digits", [change, "memory_gb=8"])
    assert says in str(error.value)


def test_the_words_of_a_switch_are_known() -> None:
    with pytest.raises(RequestError, match="short"):
        resolve("optical/mnist-mlp", ["schedule=shrt"])
    assert resolve("onchip/digits", ["quick=yes"]).train.epochs == 8


def test_a_bound_on_memory_is_the_user_s_to_set() -> None:
    resolve("onchip/digits", ["memory_gb=1"])
    with pytest.raises(RequestError, match="`memory_gb=N` sets another bound"):
        resolve("onchip/digits", ["memory_gb=0.002", "train.batch_size=1000"])


CHARACTERS = st.characters(exclude_categories=()) | st.sampled_from(" \n\r\t:#-'\"\x85\u2028\u2029\ufeff\x00\x7f\ud800")


@given(st.text(CHARACTERS, max_size=20))
def test_any_text_survives_the_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    config = ClassificationConfig(recipe="r", changes=(text,))
    path.write_bytes(to_yaml(config).encode())
    assert read_config(path) == config


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"3", b"null", b"\xff\xfe\x00", b"a: [", b"? [a]\n: b\n", b"a: 2020-13-45"]
)
def test_a_file_without_a_config_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"config\.yaml"):
        read_config(path)


def test_changes_keep_numbers_finite_at_the_ends_of_their_ranges() -> None:
    config = ClassificationConfig(recipe="r")
    for change in ("chip.insertion_loss_db=60", "chip.phase_noise_std=6", "train.lr=1000", "bench.readout_std=1"):
        override(config, [change])


def test_a_truth_value_is_no_number() -> None:
    assert fits(1, int) and not fits(True, int) and not fits(float("nan"), float)
