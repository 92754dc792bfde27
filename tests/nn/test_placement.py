"""Where layers go: rules, several technologies in one model, weights that layers share."""

import numpy as np
import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import MeshCore, PCMCore, convert, cores, counts_of, install, optical_layers, plan, to_electronic
from lightloom.nn import TensorCore as Core
from lightloom.nn.rules import LayerSite, matches

IDEAL, L2IGHT, ELIGHT = chips.preset("ideal"), chips.preset("l2ight"), chips.preset("elight", chips.PCMChip)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.ReLU(), nn.Conv2d(4, 3, 1))
    return nn.Sequential(features, nn.Flatten(), nn.Linear(27, 9), nn.Linear(9, 2)).eval()


def placed(**given: object) -> dict[str, str]:
    """Technology of each layer."""
    layers = convert(network(), **given).layers
    return {layer.name: layer.technology for layer in layers}


def test_the_first_place_that_matches_wins() -> None:
    places = {"3": None, nn.Linear: ELIGHT, "0.*": L2IGHT}
    assert placed(chip=None, places=places) == {"0.0": "mesh", "0.2": "mesh", "2": "pcm", "3": ""}
    assert placed(chip=L2IGHT, places=[("0", None), ("*", ELIGHT)]) == {"0.0": "", "0.2": "", "2": "pcm", "3": "pcm"}
    by_size = [(lambda name, module: module.weight.numel() < 20, None)]
    assert placed(chip=ELIGHT, places=by_size) == {"0.0": "pcm", "0.2": "", "2": "pcm", "3": ""}
    assert placed(chip=L2IGHT, places={"2": ELIGHT}, skip="0", only=["0", "2"]) == {
        "0.0": "",
        "0.2": "",
        "2": "pcm",
        "3": "",
    }


def test_reasons_name_who_decided() -> None:
    layers = convert(network(), None, places=[("0", None), ("2", L2IGHT)]).layers
    assert [layer.reason for layer in layers] == ["placed in electronics by request"] * 2 + [
        "",
        "no place is given for it",
    ]
    assert [layer.chip for layer in layers] == ["", "", "l2ight", ""]


def test_places_that_cannot_be_are_refused() -> None:
    with pytest.raises(RequestError, match=r"No layer is called `0\.3`"):
        convert(network(), L2IGHT, places={"0.3": None})
    with pytest.raises(RequestError, match="no chip to convert to"):
        convert(network(), None)


def test_a_name_stands_for_what_is_inside_and_for_every_name_of_a_layer() -> None:
    layer, outer = nn.Linear(1, 1), nn.Sequential()
    site = LayerSite(layer, ("body.0.first", "tail"), (outer,))
    for rule in ("body", "body.?", "b*y.0.first", "tail", nn.Sequential, nn.Linear, lambda name, m: m is layer):
        assert matches(rule, site)
    for rule in ("first", "0", "body.1", nn.Conv2d, lambda name, m: name == "tail"):
        assert not matches(rule, site)


def test_a_seed_is_a_specimen_of_each_chip_of_its_own() -> None:
    model = convert(network(), L2IGHT, places={"2": ELIGHT.replace(absorption_std=0.02)}).model
    assert list(cores(model, MeshCore)) == ["0.0", "0.2", "3"]
    assert list(cores(model, PCMCore)) == ["2"]
    install(model, 5)
    for core in cores(model, Core).values():
        made = core.weight().clone()
        core.install(core.chip.specimen(5))
        torch.testing.assert_close(made, core.weight(), rtol=0, atol=0)
        assert core.error(core.ideal_weight()) > 0
    install(model, np.int64(7))
    assert {core.specimen.seed for core in cores(model, Core).values()} == {7}
    install(model, None)
    assert all(core.specimen is None for core in cores(model, MeshCore).values())


def test_a_model_of_two_technologies_computes_and_comes_back() -> None:
    model, x = network(), torch.randn(3, 2, 3, 3)
    conversion = convert(model, IDEAL, places={"2": ELIGHT.replace(levels=64, input_bits=None, output_bits=None)})
    torch.testing.assert_close(conversion.model(x), model(x), atol=0.03, rtol=0.03)
    torch.testing.assert_close(to_electronic(conversion.model)(x), conversion.model(x), atol=1e-5, rtol=1e-5)
    text = str(conversion)
    assert "l2ight" not in text
    assert f"{IDEAL.name} (mesh): 3 layers" in text
    assert f"{ELIGHT.name} (pcm): 1 layer, 1 block," in text


def tied() -> nn.ModuleDict:
    torch.manual_seed(0)
    model = nn.ModuleDict({"one": nn.Linear(4, 4), "two": nn.Linear(4, 4), "three": nn.Linear(4, 4)})
    model["two"].weight = model["one"].weight
    return model.eval()


def test_tied_layers_share_one_core() -> None:
    model, x = tied(), torch.randn(3, 4)
    conversion = convert(model, IDEAL)
    made = conversion.model
    assert made["one"].core is made["two"].core
    assert made["one"].core is not made["three"].core
    assert list(cores(made, Core)) == ["one", "three"]
    assert [layer.tied_to for layer in conversion.layers] == ["", "one", ""]
    assert conversion.layers[0].mzis == conversion.layers[2].mzis > conversion.layers[1].mzis == 0
    assert "shares the core of one" in str(conversion)
    assert "2 blocks" in str(conversion)
    for name in model:
        torch.testing.assert_close(made[name](x), model[name](x), atol=1e-5, rtol=1e-5)
    assert len(list(made.parameters())) == len({id(p) for p in made.parameters()})
    back = to_electronic(made)
    assert back["one"].weight is back["two"].weight
    assert back["one"].bias is not back["two"].bias


def test_layers_that_cannot_share_a_core_stay_unless_untied() -> None:
    for given, why in (
        ({"skip": "two"}, "which stays electronic"),
        ({"places": {"two": ELIGHT}}, "which is on another chip"),
    ):
        layers = {layer.name: layer for layer in convert(tied(), L2IGHT, **given).layers}
        assert layers["one"].reason == f"its weight is tied to `two`, {why}; `untie=True` converts it with a copy"
        assert not layers["two"].converted
        assert layers["three"].converted
        untied = convert(tied(), L2IGHT, untie=True, **given)
        assert untied.layers[0].converted
        assert untied.layers[1].converted == ("places" in given)
        assert untied.layers[1].tied_to == ""
    grouped = nn.ModuleDict({"one": nn.Conv2d(2, 4, 1), "two": nn.Conv2d(4, 4, 1, groups=2)})
    grouped["two"].weight = grouped["one"].weight
    assert "which reads it as another matrix" in convert(grouped, L2IGHT).layers[0].reason


def test_biases_that_are_shared_stay_shared() -> None:
    model = nn.ModuleDict({"one": nn.Linear(4, 4), "two": nn.Linear(3, 4)})
    model["two"].bias = model["one"].bias
    made = convert(model, L2IGHT).model
    assert made["one"].bias is made["two"].bias
    assert made["one"].bias is not model["one"].bias
    back = to_electronic(made)
    assert back["one"].bias is back["two"].bias


def test_a_plan_says_the_same_as_the_conversion_and_programs_nothing() -> None:
    model = nn.Sequential(
        nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), nn.Conv1d(3, 4, 3), nn.Embedding(5, 2)
    )
    given = {"skip": ["0.self_attn.k_proj"], "places": {"0.linear1": ELIGHT}}
    planned, made = plan(model, L2IGHT, **given), convert(model, L2IGHT, **given)
    assert not optical_layers(planned.model)
    assert type(model[0].self_attn) is nn.MultiheadAttention
    assert [layer.name for layer in planned.layers] == [layer.name for layer in made.layers]
    for layer, report in zip(planned.layers, made.layers, strict=True):
        assert layer.module is planned.model.get_submodule(layer.name)
        assert layer.reason == report.reason
        assert (layer.chip is not None) == report.converted
        if layer.chip is not None:
            counts = counts_of(layer.chip, layer.rows, layer.columns, layer.groups, 7)
            core = made.model.get_submodule(layer.name).core
            assert counts == core.counts(7)
            assert counts.mzis // counts.cores == report.mzis // counts.cores


@pytest.mark.parametrize("root", [nn.Linear(3, 4), nn.Conv1d(2, 3, 2), nn.MultiheadAttention(4, 2), nn.ReLU()], ids=str)
def test_a_plan_of_a_root_that_is_a_layer(root: nn.Module) -> None:
    layers = plan(root, L2IGHT).layers
    assert len(layers) == (0 if isinstance(root, nn.ReLU) else 4 if isinstance(root, nn.MultiheadAttention) else 1)
    assert all(layer.chip == L2IGHT for layer in layers)


def test_weights_that_no_core_can_hold_stay() -> None:
    empty = nn.Linear(8, 1, bias=False)
    empty.weight = nn.Parameter(torch.empty(0, 8))
    for layer, why in ((empty, "empty"), (nn.Linear(4, 4).to(torch.float8_e4m3fn), "float8")):
        (planned,) = plan(layer, L2IGHT).layers
        assert planned.chip is None
        assert why in planned.reason
