"""What is damaged, newer or not whole is refused, and a kill leaves the old folder or the new one."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError, WorkError
from lightloom.common.folders import settle
from lightloom.export.atomic_folder import file_stem, whole_folder
from lightloom.export.description import digest
from lightloom.export.tensors import read_tensors, write_tensors

MESH = chips.preset("thermo-optic", chips.MeshChip).replace(block_size=4)


def plain() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(6, 5))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    export.save(nn.convert(plain(), MESH).model, tmp_path / "saved", sample=torch.randn(2, 6))
    return tmp_path / "saved"


def change(folder: Path, **fields: object) -> None:
    """Rewrite fields of `lightloom.json`."""
    path = folder / "lightloom.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def allow(folder: Path) -> None:
    """Make every file the one that `lightloom.json` names, so that what is behind the check is reached."""
    change(
        folder, files={p.name: digest(p) for p in folder.iterdir() if p.name not in ("lightloom.json", ".lightloom")}
    )


@pytest.mark.parametrize("name", ["model.safetensors", "chips.json", "sample.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "bit", "gone", "empty"])
def test_a_damaged_file_is_refused(saved: Path, name: str, damage: str) -> None:
    whole = bytearray((saved / name).read_bytes())
    whole[len(whole) // 2] ^= 1
    if damage == "gone":
        (saved / name).unlink()
    else:
        (saved / name).write_bytes({"cut": whole[:-5], "bit": whole, "empty": b""}[damage])
    with pytest.raises(RequestError, match="is missing" if damage == "gone" else "not the file that was saved"):
        export.load(saved, plain())


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_of_the_description_passes_unseen(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip") / "saved"
    torch.manual_seed(0)
    model, x = nn.convert(plain(), MESH).model, torch.randn(2, 6)
    export.save(model, folder)
    text = bytearray((folder / "lightloom.json").read_bytes())
    text[place % len(text)] ^= 1 << bit
    (folder / "lightloom.json").write_bytes(text)
    try:
        again = export.load(folder, plain())
    except RequestError:
        return
    assert torch.equal(again(x), model.eval()(x))  # then it was a note, or the name of a class


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"format": 2}, "written by lightloom .*; this version reads up to format 1"),
        ({"format": "1"}, "does not say what format"),
        ({"format": True}, "does not say what format"),
        ({"layer": []}, "unknown key `layer`. Did you mean `layers`"),
        ({"files": {}}, "names no `chips.json`"),
        ({"layers": None}, "layers"),
    ],
)
def test_another_description_is_refused(saved: Path, fields: dict[str, object], told: str) -> None:
    change(saved, **fields)
    with pytest.raises(RequestError, match=told):
        export.load(saved, plain())


def test_no_name_leads_out_of_the_folder(saved: Path) -> None:
    outside = saved.parent / "outside.safetensors"
    outside.write_bytes((saved / "model.safetensors").read_bytes())
    files = json.loads((saved / "lightloom.json").read_text())["files"]
    change(saved, files={**files, "../outside.safetensors": digest(outside)})
    with pytest.raises(RequestError, match="is none of a saved network"):
        export.load(saved, plain())
    change(saved, files=files)
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors").symlink_to(outside)
    with pytest.raises(RequestError, match="leads out of its folder"):
        export.load(saved, plain())


def test_numbers_that_are_none_are_refused(saved: Path) -> None:
    tensors = read_tensors(saved / "model.safetensors")
    tensors["0.core.sigma"][0, 0, 0, 0] = float("nan")
    write_tensors(saved / "model.safetensors", tensors)
    allow(saved)
    with pytest.raises(RequestError, match=r"`0\.core\.sigma` holds NaN"):
        export.load(saved, plain())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"crosstalk": float("nan")}, "crosstalk"),
        ({"crosstalc": 0.1}, "Did you mean `crosstalk`"),
        ({"technology": "messh"}, "Did you mean `mesh`"),
    ],
)
def test_chips_that_are_none_are_refused(saved: Path, fields: dict[str, object], told: str) -> None:
    path = saved / "chips.json"
    described = json.loads(path.read_text())
    described["thermo-optic"] |= fields
    path.write_text(json.dumps(described))
    allow(saved)
    with pytest.raises(RequestError, match=told):
        export.load(saved, plain())


def test_pickles_and_other_files_are_refused(saved: Path) -> None:
    torch.save(plain().state_dict(), saved / "model.safetensors")
    allow(saved)
    with pytest.raises(RequestError, match="not a whole safetensors file"):
        export.load(saved, plain())
    (saved / "lightloom.json").write_text("[]")
    with pytest.raises(RequestError, match="does not say what format"):
        export.load(saved, plain())
    (saved / "lightloom.json").write_text('{"format": 1')
    with pytest.raises(RequestError, match="is not JSON"):
        export.load(saved, plain())
    with pytest.raises(RequestError, match="no saved network"):
        export.load(saved.parent, plain())


# kills

MARK = "mark.json"


def write(path: Path, text: str) -> None:
    with whole_folder(path, MARK) as made:
        (made / "one").write_text(text)
        (made / MARK).write_text(text)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do the work in another process, which is gone at its so many-th change of a name; whether it came so far."""
    process = os.fork()
    if process == 0:
        left = step
        replace = Path.replace

        def counted(self: Path, target: Path) -> Path:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return replace(self, target)

        Path.replace = counted  # type: ignore[method-assign]
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) == 9


@pytest.mark.parametrize("step", range(3))
def test_a_kill_leaves_the_old_folder_or_the_new_one(tmp_path: Path, step: int) -> None:
    path = tmp_path / "made"
    write(path, "old")
    assert killed_at(step, lambda: write(path, "new")) == (step < 2)
    settle(path)
    wanted = "old" if step < 2 else "new"
    assert [(path / name).read_text() for name in ("one", MARK)] == [wanted] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["made"]
    write(path, "newest")
    assert (path / "one").read_text() == "newest"


def test_a_network_is_found_again_after_a_kill(saved: Path) -> None:
    assert killed_at(1, lambda: write_over(saved))
    assert not saved.exists()
    export.load(saved, plain())
    assert [file.name for file in saved.parent.iterdir()] == ["saved"]


def write_over(folder: Path) -> None:
    with whole_folder(folder, "network") as made:
        (made / "lightloom.json").write_text("{}")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "made", "old")
    with pytest.raises(WorkError, match="untouched"), whole_folder(tmp_path / "made", MARK) as made:
        (made / "one").write_text("new")
        raise OSError(28, "No space left on device")
    assert (tmp_path / "made" / "one").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["made"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="holds something else"):
        write(tmp_path / "file", "new")
    with pytest.raises(RequestError, match="Cannot write"):
        write(tmp_path / "file" / "below", "new")


@given(name=st.text(max_size=200))
def test_any_layer_has_a_file_of_its_own(name: str) -> None:
    stem = file_stem(7, name)
    assert stem.startswith("007-")
    assert "/" not in stem and "\0" not in stem and len(stem) < 120
    assert (Path("folder") / stem).name == stem
