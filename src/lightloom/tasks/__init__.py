"""What networks are for: one folder a kind of problem, and the table that joins them.

>>> from lightloom.tasks import TASKS
>>> sorted(TASKS)
['classification', 'detection2d', 'detection3d', 'language']
"""

from lightloom.tasks.table import TASKS, config_of, read_config, task_of

__all__ = ["TASKS", "config_of", "read_config", "task_of"]
