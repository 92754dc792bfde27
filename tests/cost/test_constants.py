"""Every constant says where it is from and how far it is to be trusted."""

import pytest

from lightloom import chips
from lightloom.chips import Constant
from lightloom.common.errors import RequestError
from lightloom.cost import Memory
from lightloom.cost.electronics import REFERENCES

HOLDERS = [
    *((name, chip.devices) for name, chip in chips.PRESETS.items()),
    *((name, chip.devices) for name, chip in chips.DIFFRACTIVE.items()),
    *chips.ABSORBERS.items(),
    ("memory", Memory()),
    *((profile.name, profile) for profile in REFERENCES),
]


@pytest.mark.parametrize(("name", "holder"), HOLDERS, ids=lambda given: given if isinstance(given, str) else "")
def test_status_and_confidence_are_stated(name: str, holder: object) -> None:
    for field, constant in holder:  # type: ignore[attr-defined]
        if isinstance(constant, Constant):
            assert {"status", "confidence"} <= constant.model_fields_set, field
            assert constant.source, field
            assert not constant.doi or constant.doi.startswith("10."), field
            if constant.source.startswith("assumed"):
                assert (constant.status, constant.confidence) == ("assumed", "C"), field
            if constant.status == "assumed":
                assert constant.confidence == "C", field


def test_files_from_before_load() -> None:
    old = Constant.parse({"value": 1.0, "unit": "W", "source": "somewhere"})
    assert (old.doi, old.status, old.confidence) == ("", "assumed", "C")


def test_levels_may_be_negative_and_nothing_else() -> None:
    assert Constant(value=-25, unit="dBm", source="x").value == -25
    with pytest.raises(RequestError, match="negative"):
        Constant.parse({"value": -1, "unit": "W", "source": "x"})
