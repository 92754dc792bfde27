"""Kinds of problem: models, losses, targets and metrics of each."""
