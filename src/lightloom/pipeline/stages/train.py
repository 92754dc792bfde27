"""The stage that trains the network electronically."""

from __future__ import annotations

from lightloom.common.files import write_json
from lightloom.common.processes import is_main
from lightloom.pipeline.cases import load_teacher
from lightloom.pipeline.context import RunContext


def train(run: RunContext) -> None:
    """Train the network, perhaps with a teacher at its side, and write it as `electronic`."""
    task, config = run.task, run.config
    if is_main():
        write_json(run.folder.file("data.json"), task.facts(run.data))
    model, name = run.new_network(), task.teacher(config)
    teacher = load_teacher(name, run.interface) if name else None
    run.fit(task.plan(model, config, run.data, teacher), config.train, "train")
    if is_main():
        run.save_state(model, "electronic")
