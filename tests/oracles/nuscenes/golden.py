"""Write golden.json: what the official evaluation says of the sets of sets.py.

    LIGHTLOOM_NUSCENES_ORACLE=<python with the devkit> LIGHTLOOM_DATA=<data> PYTHONPATH=src \
        python tests/oracles/nuscenes/golden.py
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from sets import Set, as_numbers, mini_val, synthetic

HERE = Path(__file__).parent


def official(given: Set) -> dict[str, object]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as stream:
        json.dump(as_numbers(given), stream)
        stream.flush()
        command = [os.environ["LIGHTLOOM_NUSCENES_ORACLE"], str(HERE / "judge.py"), "boxes", stream.name]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name: value for name, value in json.loads(answer).items() if name != "curves"}


if __name__ == "__main__":
    sets = {**synthetic(), "mini_val": mini_val(Path(os.environ["LIGHTLOOM_DATA"]))}
    lines = [f"{json.dumps(name)}: {json.dumps(official(given))}" for name, given in sets.items()]
    made = json.dumps(f"nuscenes-devkit 1.2.0, by {Path(__file__).name}")
    (HERE / "golden.json").write_text(f'{{\n"made": {made},\n' + ",\n".join(lines) + "\n}\n")
