"""The stage that learns on the chip."""

from __future__ import annotations

from lightloom import learn as learning
from lightloom.common.processes import is_main
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.learning import LearningPlan
from lightloom.pipeline.technologies.base import technologies_in
from lightloom.tasks.base import TrainingPlan


def learn(run: RunContext) -> None:
    """Learn on the chip, as its technologies can.

    Where one of them trains all of its weights, everything of the network trains; on meshes alone singular values do,
    and the meshes stay what the specimen makes them.
    """
    task, config = run.task, run.config
    model = run.network(run.latest_state("mapped"))
    technologies = technologies_in(model)
    if not any(technology.trains_everything for technology in technologies):
        learning.train_only_subspace(model)
    plan = LearningPlan(task.objective(model, config))
    for technology in technologies:
        plan = technology.plan_learning(run, model, plan)
    trained = TrainingPlan(task.forward_model(model, config), plan.objective, plan.prepare)
    run.fit(trained, config.learn, "learn", plan.sampler)
    if is_main():
        run.save_state(model, "learned")
