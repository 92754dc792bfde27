"""A technology that is not Lightloom's own, as another package brings it: nothing of Lightloom names it."""

from lightloom.chips import Technology
from lightloom_toy.chip import ToyChip

TOY = Technology(
    name="toy",
    chip=ToyChip,
    presets={"toy": ToyChip(name="toy"), "toy-exact": ToyChip(name="toy-exact", gain_std=0.0)},
    core="lightloom_toy.core:ToyCore",
    cost="lightloom_toy.cost:ToyCost",
    bench="lightloom_toy.bench:ToyBench",
    stages="lightloom_toy.stages:ToyStages",
)
