"""A task's own section stands on the page beside the others, and nothing that it says can run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightloom.report import Run, Section, figure, fill, paragraph, table, write_report
from lightloom.report.plots.states import metric_plot
from lightloom.schemas import Evaluation, Metric

HOSTILE = "<script>alert(1)</script>"


def scores(run: Run) -> Iterator[Section]:
    """What a package of somebody else's would bring."""
    rows = [(state, value) for state, value in run.values.items()]
    yield Section(
        f"Scores {HOSTILE}",
        "scores",
        table(f"By state {HOSTILE}", ["State", "Score"], rows) + paragraph(HOSTILE) + fill("<p>{{ x }}</p>", x=HOSTILE),
        lead=f"Two lines {HOSTILE}",
        files={"scores.txt": b"1"},
    )
    yield Section("Plain", "plain", f"text {HOSTILE}")


def test_a_section_of_a_task_follows_the_states(run_folder: Path) -> None:
    page = write_report(run_folder, [scores]).read_text()
    places = [page.index(f'<h2 id="h-{anchor}">') for anchor in ("states", "scores", "plain", "curves")]
    assert places == sorted(places)
    assert page.count("&lt;script&gt;alert(1)") == 2 + 2 + 4 + 1  # twice in contents and links, caption in a label too
    assert page.count("<script>") == 1
    assert (run_folder / "plots" / "scores.txt").read_bytes() == b"1"
    assert '<td class="right" data-value="0.981">0.981</td>' in page


def test_two_sections_cannot_have_one_anchor_or_one_file(run_folder: Path) -> None:
    with pytest.raises(ValueError, match="two sections of a report have the anchor `cost`"):
        write_report(run_folder, [lambda run: [Section("Mine", "cost", "text")]])
    twice = [Section("A", "a", files={"x.txt": b""}), Section("B", "b", files={"x.txt": b""})]
    with pytest.raises(ValueError, match=r"the file `x\.txt`"):
        write_report(run_folder, [lambda run: twice])


@pytest.mark.parametrize("name", ["../x.txt", "a/b.txt", "", ".x"])
def test_a_file_of_a_section_stays_in_its_folder(name: str) -> None:
    with pytest.raises(ValueError, match="no plain name"):
        Section("A", "a", files={name: b""})
    with pytest.raises(ValueError, match="anchor"):
        Section("A", 'a" onload="x')


@pytest.mark.parametrize(("name", "better"), [("bits_per_character", False), ("log_likelihood", True)])
def test_a_metric_that_is_no_percentage_tells_the_story_by_its_own_name(
    run_folder: Path, name: str, better: bool
) -> None:
    metric = Metric(name=name, percent=False, unit="bit", higher_is_better=better, chance=5.0)
    sign = 1 if not better else -1
    states = {
        state: {name: sign * value, "loss": 0.7 * value}
        for state, value in (("electronic", 1.83), ("programmed", 4.75), ("mapped", 1.95))
    }
    evaluation = Evaluation(metric=metric, states=states)
    (run_folder / "evaluation.json").write_text(json.dumps(evaluation.plain()))
    summary = json.loads((run_folder / "summary.json").read_text())
    del summary["accuracy"]
    summary |= {"metric": metric.plain(), "values": evaluation.values}
    (run_folder / "summary.json").write_text(json.dumps(summary))
    page = write_report(run_folder).read_text().replace("\u00a0", " ")
    words, minus = name.replace("_", " "), "" if not better else "−"
    heading = words[0].upper() + words[1:]
    assert f"{heading} {minus}1.83 bit electronic, {minus}4.75 bit when programmed onto specimen 0" in page
    assert f"{heading} recovered" in page and "2.80 bit" in page and "of the 2.92 lost when programmed" in page
    assert "accuracy" not in page.lower().replace("validation_accuracy", "")
    assert '<th scope="col" class="right">Loss</th>' in page and f"{heading} by stage" in page
    assert ("Less is better" in page) == (not better)


def test_the_plot_of_states_has_every_value_in_words(run_folder: Path) -> None:
    from lightloom.report.readers.run import read_run

    plot = metric_plot(read_run(run_folder))
    assert plot is not None
    assert plot.label.replace("\u00a0", " ").startswith("Bars of accuracy by stage: electronic 98.1 %, programmed")
    assert "<svg" in figure(plot)
