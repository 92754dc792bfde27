"""The subspace bench gives plain figures, and calls unbiased only what is."""

import json

import yaml

from lightloom.bench.mesh.subspace import SAMPLERS, UNBIASED, subspace


def test_every_figure_is_there_and_plain() -> None:
    figures = subspace(rounds=1, turns=1, draws=100)
    assert json.loads(json.dumps(figures)) == yaml.safe_load(yaml.safe_dump(figures)) == figures
    for name in ("sampled_vs_dense", "dense_vs_plain", "sampled_vs_plain"):
        assert figures[name] > 0
    assert figures["samplers"].keys() == SAMPLERS.keys()
    for name, measured in figures["samplers"].items():
        # ||mean - exact|| is `bias_noise` on average where there is no bias
        assert (measured["bias"] < 2 * measured["bias_noise"]) == (name in UNBIASED), name
