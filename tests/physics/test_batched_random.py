"""Many streams at once are torch's own."""

import pytest
import torch

from lightloom.common.seeds import named_seed
from lightloom.physics import batched_random, compiled
from lightloom.physics.phases import truncated_noise

SEEDS = [named_seed(number, "draws") for number in range(12)]


@pytest.fixture(params=["torch", "compiled"], autouse=True)
def backend(request: pytest.FixtureRequest):
    if request.param == "compiled":
        try:
            compiled.build()
        except RuntimeError:
            pytest.skip("no compiler")
    with compiled.use(request.param):
        yield


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40, 624, 1000, 20_003])
def test_numbers_are_those_of_a_generator_of_each_seed(count: int) -> None:
    wanted = torch.stack([torch.rand(count, generator=generator) for generator in generators()])
    torch.testing.assert_close(batched_random.uniform(SEEDS, count), wanted, rtol=0, atol=0)
    wanted = torch.stack([truncated_noise(torch.empty(count), 0.01, generator=g) for g in generators()])
    torch.testing.assert_close(batched_random.truncated(SEEDS, count, 0.01), wanted, rtol=0, atol=4e-8)


def test_the_kernel_draws_as_this_torch_does() -> None:
    assert compiled.library() is None or batched_random._alike()


def test_a_kernel_that_draws_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_random, "_agrees", lambda library: False)
    monkeypatch.setattr(batched_random, "_uniform", lambda seeds, count: torch.zeros(len(seeds), count))
    wanted = torch.stack([torch.rand(30, generator=generator) for generator in generators()])
    torch.testing.assert_close(batched_random.uniform(SEEDS, 30), wanted, rtol=0, atol=0)
