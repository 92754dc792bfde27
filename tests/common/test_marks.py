"""What lies in a folder and was not written here stays as it is: marks, temporary files, renames and deletions."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightloom.common import files
from lightloom.common.errors import RequestError
from lightloom.common.folders import check_whole, hidden_folder, put_folder, remove, settle
from lightloom.common.hold import hold
from lightloom.common.marks import MARK, admit, claim, is_ours, mark_of

PACKAGE = Path(__file__).parents[2] / "src" / "lightloom"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_the_mark_comes_first_and_lists_every_file_before_it_is_there(tmp_path: Path) -> None:
    folder = claim(tmp_path / "run", "run")
    assert [path.name for path in folder.iterdir()] == [MARK]
    files.write_text(folder / "a", "1")
    (folder / "deep").mkdir()
    files.append_json_line(folder / "deep" / "b", {})
    admit(folder / "later")
    mark = mark_of(folder)
    assert mark is not None and mark.kind == "run"
    assert mark.files == {"a", "deep/b", "later"}
    files.write_text(folder / "a", "2")
    assert mark_of(folder) == mark


NAMES = st.sampled_from(["a", "b", "c", "deep/a", "deep/b"])


@given(steps=st.lists(st.tuples(st.sampled_from(["ours", "foreign", "remove", "append"]), NAMES), max_size=12))
def test_no_order_of_steps_changes_a_foreign_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    folder = claim(tmp_path_factory.mktemp("any"), "run")
    (folder / "deep").mkdir()
    foreign: dict[Path, str] = {}
    for number, (step, name) in enumerate(steps):
        path = folder / name
        if step == "foreign":
            if not path.exists() and not is_ours(path):
                path.write_text(f"foreign {number}")
                foreign[path] = f"foreign {number}"
            continue
        try:
            if step == "ours":
                files.write_text(path, "ours")
            elif step == "append":
                files.append_json_line(path, {})
            else:
                remove(path)
        except RequestError as refusal:
            assert path in foreign and "not written by Lightloom" in str(refusal)
        assert {path: path.read_text() for path in foreign} == foreign


@pytest.mark.parametrize("cut", range(len('{"lightloom": "run", "format": 1}\n"a"\n')))
def test_a_mark_that_a_kill_cut_short_lists_nothing_too_much(tmp_path: Path, cut: int) -> None:
    folder = claim(tmp_path, "run")
    admit(folder / "a")
    whole = (folder / MARK).read_bytes()
    (folder / MARK).write_bytes(whole[:cut])
    claim(folder, "run")
    admit(folder / "b")
    mark = mark_of(folder)
    assert mark is not None and mark.kind == "run"
    assert mark.files in ({"b"}, {"a", "b"})


@pytest.mark.parametrize("content", ["mine", "{}", '{"lightloom', "[1]\n", '{"lightloom": "run"', ""])
def test_a_foreign_file_of_the_name_of_the_mark_is_no_mark(tmp_path: Path, content: str) -> None:
    (tmp_path / MARK).write_text(content)
    begun = '{"lightloom": "run", "format": 1}'.startswith(content)  # as a kill leaves it
    if begun:
        assert claim(tmp_path, "run") == tmp_path
    else:
        with pytest.raises(RequestError, match="Cannot write"):
            claim(tmp_path, "run")
        assert (tmp_path / MARK).read_text() == content


def test_links_are_not_followed_out_of_a_folder(tmp_path: Path) -> None:
    run, precious = claim(tmp_path / "run", "run"), tmp_path / "precious"
    (run / "checkpoints").mkdir()
    files.write_text(run / "checkpoints" / "a", "ours")
    (run / "checkpoints").rename(tmp_path / "moved")
    precious.mkdir()
    (precious / "a").write_text("mine")
    (run / "checkpoints").symlink_to(precious)
    for change in (lambda path: files.write_text(path, "x"), remove, lambda path: files.append_json_line(path, {})):
        with pytest.raises(RequestError):
            change(run / "checkpoints" / "a")
    with pytest.raises(RequestError):
        remove(precious / "a")
    files.clear_parts(run)
    (run / "b").symlink_to(precious / "a")
    with pytest.raises(RequestError, match="not written by Lightloom"):
        files.write_text(run / "b", "x")
    assert (precious / "a").read_text() == "mine" and (run / "b").is_symlink()


def test_a_temporary_file_takes_no_name_that_somebody_has(tmp_path: Path) -> None:
    taken = tmp_path / f".a.{os.getpid()}.part"
    taken.write_text("mine")
    files.write_text(tmp_path / "a", "ours")
    assert taken.read_text() == "mine" and (tmp_path / "a").read_text() == "ours"


def test_a_whole_folder_is_replaced_only_where_all_of_it_is_ours(tmp_path: Path) -> None:
    place = tmp_path / "saved"

    def write(text: str) -> None:
        settle(place)
        with hidden_folder(place) as hidden:
            (hidden / "deep").mkdir()
            (hidden / "deep" / "a").write_text(text)
            put_folder(hidden, place, "network")

    write("1")
    write("2")
    assert (place / "deep" / "a").read_text() == "2"
    with pytest.raises(RequestError, match="something else"):
        check_whole(place, "levels")
    (place / "deep" / "notes.txt").write_text("mine")
    with pytest.raises(RequestError, match=r"deep/notes\.txt"):
        write("3")
    assert (place / "deep" / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_what_only_looks_like_a_leftover_stays(tmp_path: Path) -> None:
    for name in (".saved.999999999.part", ".saved.999999999.old", ".saved.mine.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("mine")
    settle(tmp_path / "saved")
    assert len([path for path in tmp_path.rglob("a") if path.read_text() == "mine"]) == 3


def test_one_process_at_a_time_works_in_a_folder_and_a_kill_lets_go(tmp_path: Path) -> None:
    folder = claim(tmp_path / "run", "run")
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom lightloom.common.hold import hold\n"
        "with hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(RequestError, match=rf"Process {process.pid} on .* works in .*--out"), hold(folder):
            pass
        process.send_signal(signal.SIGKILL)
    with hold(folder), hold(folder):
        assert json.loads((folder / ".lightloom.holder").read_text())["process"] == os.getpid()


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Calls of a file by the last part of their name, with what they are called on."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    made = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)]
    return [(node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id, node) for node in made]


def changes_names(name: str, call: ast.Call) -> bool:
    """Whether a call renames or removes files; `replace` of a path has one argument, of a text two."""
    if name == "replace" and isinstance(call.func, ast.Attribute):
        owner = call.func.value
        return (len(call.args) == 1 and not call.keywords) or (isinstance(owner, ast.Name) and owner.id == "os")
    if name in ("remove", "move", "copyfile") and isinstance(call.func, ast.Attribute):
        return isinstance(call.func.value, ast.Name) and call.func.value.id in ("os", "shutil")
    return name in {"unlink", "rmtree", "rmdir", "removedirs", "rename", "renames", "copytree", "truncate"}


def test_files_are_renamed_and_removed_in_one_place_only() -> None:
    # kernels are compiled on a floor that cannot import that place: to a new name, then to one that is their hash
    places = {"common/folders.py", "physics/compiled/__init__.py"}
    found = {
        str(path.relative_to(PACKAGE)) for path in SOURCES for name, call in calls(path) if changes_names(name, call)
    }
    assert found == places


def test_files_are_opened_for_writing_in_few_places_only() -> None:
    places = {
        "common/files.py",  # appends to a file that the mark lists
        "common/folders.py",
        "common/marks.py",
        "data/files.py",  # a download under a temporary name
        "data/toytown/make.py",  # of a folder that is not yet in its place, or that the mark lists
        "export/mesh/netlist_files.py",  # likewise
    }
    found = set()
    for path in SOURCES:
        for name, call in calls(path):
            modes = [a.value for a in (*call.args, *(k.value for k in call.keywords)) if isinstance(a, ast.Constant)]
            writes = name == "open" and any(isinstance(m, str) and set(m) & set("wax+") and len(m) < 4 for m in modes)
            if writes or (name in ("write_text", "write_bytes") and isinstance(call.func, ast.Attribute)):
                found.add(str(path.relative_to(PACKAGE)))
    assert found == places


def test_text_is_read_and_written_as_utf8_whatever_the_locale() -> None:
    elsewhere = {"data/detection/yolo.py", "data/detection/voc.py", "data/nuscenes/convert.py"}  # any encoding is read
    wrong = []
    for path in SOURCES:
        for name, call in calls(path):
            text = name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)
            if name == "open":
                modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                text = any(set(mode) <= set("rwax+") for mode in modes)
            if text and not any(keyword.arg == "encoding" for keyword in call.keywords):
                wrong.append(f"{path.relative_to(PACKAGE)}:{call.lineno}")
    assert [place for place in wrong if place.partition(":")[0] not in elsewhere] == []
