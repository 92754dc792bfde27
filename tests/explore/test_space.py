"""Axes as text: what they mean, and what is refused before anything runs."""

import pytest

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.explore import ExploreConfig, parse_axis, space

NOEMS = chips.preset("noems")
ELIGHT = chips.preset("elight")


def settings(*axes: str, bases: tuple[chips.Chip, ...] = (NOEMS,), **asked: object) -> list[dict[str, object]]:
    return [design.settings for design in space(ExploreConfig(axes=axes, **asked), bases).designs]


def test_an_axis_is_a_key_and_values() -> None:
    axis = parse_axis(" chip.block_size = 4, 8,16")
    assert (axis.key, axis.values) == ("chip.block_size", ("4", "8", "16"))
    assert parse_axis("chip.transmissions=[1,0.5],[1,0.2]").values == ("[1,0.5]", "[1,0.2]")


@pytest.mark.parametrize("text", ["chip.block_size", "=4", "chip.block_size=4,,8", "chip.block_size=", "a=4,4"])
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="axis"):
        parse_axis(text)


def test_the_product_goes_through_every_pair_and_the_last_axis_changes_fastest() -> None:
    assert settings("chip.block_size=4,8", "chip.weight_bits=none,6") == [
        {"chip.block_size": 4, "chip.weight_bits": None},
        {"chip.block_size": 4, "chip.weight_bits": 6},
        {"chip.block_size": 8, "chip.weight_bits": None},
        {"chip.block_size": 8, "chip.weight_bits": 6},
    ]


def test_values_take_the_type_of_their_field_and_reach_the_chip() -> None:
    axes = (
        "chip.gamma_std=1e-3",
        "chip.layout=triangle",
        "chip.devices.mzi_loss=0.25",
        "system.schedule=output",
        "system.cores=3",
        "system.gated=false",
    )
    (design,) = space(ExploreConfig(axes=axes), [NOEMS]).designs
    assert isinstance(design.chip, chips.MeshChip)
    assert (design.chip.gamma_std, design.chip.layout) == (1e-3, "triangle")
    assert design.chip.devices.mzi_loss.value == 0.25
    assert design.chip.devices.mzi_loss.status == "assumed"
    assert "sweep" in design.chip.devices.mzi_loss.source
    assert (design.system.schedule, design.system.cores, design.system.gated) == ("output", 3, False)
    assert design.label == "gamma std 0.001, layout triangle, mzi loss 0.25, schedule output, cores 3, gated False"


def test_a_list_value_is_one_value() -> None:
    (design,) = space(ExploreConfig(axes=("chip.levels=2", "chip.transmissions=[1,0.4]")), [ELIGHT]).designs
    assert isinstance(design.chip, chips.PCMChip)
    assert design.chip.transmissions == (1.0, 0.4)


def test_the_chip_is_an_axis_by_name_or_by_giving_several() -> None:
    assert settings("chip=noems,elight") == [{"chip": "noems"}, {"chip": "elight"}]
    assert settings(bases=(NOEMS, ELIGHT)) == [{"chip": "noems"}, {"chip": "elight"}]
    assert settings() == [{}]


def test_an_axis_of_one_technology_is_skipped_on_the_other_with_a_note() -> None:
    found = space(ExploreConfig(axes=("chip=noems,elight", "chip.gamma_std=0,0.01", "chip.block_size=4")), [])
    assert [design.settings for design in found.designs] == [
        {"chip": "noems", "chip.gamma_std": 0.0, "chip.block_size": 4},
        {"chip": "noems", "chip.gamma_std": 0.01, "chip.block_size": 4},
        {"chip": "elight", "chip.block_size": 4},
    ]
    assert len(found.notes) == 1
    assert "`chip.gamma_std`" in found.notes[0]
    assert "pcm" in found.notes[0]
    assert found.axes == ["chip", "chip.gamma_std", "chip.block_size"]


def test_an_axis_that_no_point_has_is_refused() -> None:
    with pytest.raises(RequestError, match=r"No point has `chip\.levels`.*mesh"):
        settings("chip.levels=4,8")


@pytest.mark.parametrize(
    ("axis", "hint"),
    [
        ("chip.blok_size=4", "chip.block_size"),
        ("block_size=4", "chip.block_size"),
        ("system.shedule=weight", "system.schedule"),
        ("schedule=weight", "system.schedule"),
        ("chip.devices.mzi_los=1", "chip.devices.mzi_loss"),
        ("chip.name=a", ""),
        ("chip=noem", "noems"),
        ("network=resnet", "network"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(axis: str, hint: str) -> None:
    with pytest.raises(RequestError, match=f"`{hint}"):
        settings(axis)


def test_every_value_out_of_range_is_named_at_once() -> None:
    with pytest.raises(RequestError) as refused:
        settings("chip.block_size=1,8,many", "system.schedule=weight,heavy")
    for words in ("chip.block_size=1", "chip.block_size=many", "system.schedule=heavy", "noems"):
        assert words in str(refused.value)
    assert "block_size=8" not in str(refused.value)


def test_fields_that_do_not_fit_together_are_refused_too() -> None:
    with pytest.raises(RequestError, match=r"chip\.levels=64"):
        settings("chip.base=0.5", "chip.levels=16,64", bases=(ELIGHT,))


def test_listed_points_are_measured_as_they_stand() -> None:
    points = (("chip=noems", "chip.block_size=4"), ("chip=elight",), ("chip=noems", "chip.block_size=4"))
    assert settings(points=points) == [{"chip": "noems", "chip.block_size": 4}, {"chip": "elight"}]
    with pytest.raises(RequestError, match="not both"):
        ExploreConfig.parse({"points": points, "axes": ["chip=noems"]})


def test_a_limit_draws_points_by_its_seed_in_their_order() -> None:
    axes = ("chip.block_size=2,3,4,5,6,7,8,9", "chip.weight_bits=4,5,6")
    everything = settings(*axes)
    drawn = settings(*axes, limit=7)
    assert len(drawn) == 7
    assert drawn == [entry for entry in everything if entry in drawn]
    assert drawn == settings(*axes, limit=7)
    assert drawn != settings(*axes, limit=7, seed=1)
    assert settings(*axes, limit=100) == everything


def test_bias_is_calibrated_away_unless_asked_for() -> None:
    def biases(*axes: str, calibrated: bool = True) -> list[float]:
        found = space(ExploreConfig(axes=axes, calibrated=calibrated), [NOEMS]).designs
        return [design.chip.phase_bias for design in found if isinstance(design.chip, chips.MeshChip)]

    assert isinstance(NOEMS, chips.MeshChip)
    assert biases() == [0.0]
    assert biases(calibrated=False) == [NOEMS.phase_bias]
    assert biases("chip.phase_bias=0,0.5") == [0.0, 0.5]


def test_several_networks_are_an_axis() -> None:
    found = space(ExploreConfig(axes=("chip.block_size=4,8",)), [NOEMS], ["small", "large"])
    assert [(design.network, design.settings["chip.block_size"]) for design in found.designs] == [
        ("small", 4),
        ("small", 8),
        ("large", 4),
        ("large", 8),
    ]
    assert found.axes == ["network", "chip.block_size"]


def test_a_sweep_without_end_is_refused() -> None:
    many = ",".join(str(number) for number in range(2, 400))
    with pytest.raises(RequestError, match="points"):
        settings(f"chip.block_size={many}", f"system.cores={many}", f"system.inferences={many}")


def test_chips_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match="Two chips"):
        settings(bases=(NOEMS, NOEMS.replace(block_size=4)))
