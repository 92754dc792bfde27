from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lightloom.report import units
from lightloom.report.pages import pcm_writes
from lightloom.schemas import WritesFile


def plain(text: str) -> str:
    return text.replace(units.NO_BREAK, " ").replace(units.THIN, " ")


def told(made: SimpleNamespace, *cases: tuple[str, str, float, int], **fields: Any) -> WritesFile:
    """Writes of cases given as state, order, pulses on the most written cell and levels."""
    rows = [made.case(state, order, (cell, cell), (levels, 0)) for state, order, cell, levels in cases]
    return WritesFile.model_validate({"rate_hz": 1000.0, "cases": rows} | fields)


def test_the_story_of_training_and_reordering(made: SimpleNamespace) -> None:
    story = plain(pcm_writes.story(WritesFile.model_validate(made.writes())))
    assert story == (
        "Training and reordering together write 25 times fewer levels: 12 000 per inference instead of 300 000. "
        "The most written cell goes from 400 to 20 pulses per inference and lasts 20 times longer: "
        "25 000 inferences instead of 1 250, which is 25.0 s at 1 kHz instead of 1.25 s."
    )


def test_a_life_is_told_alike_everywhere(made: SimpleNamespace) -> None:
    writes = told(made, ("programmed", "as it comes", 199.0, 100), ("learned", "reordered", 16.0, 10), inferences=9.0)
    writes = writes.replace(cases=[case.replace(cells_failed=0) for case in writes.cases])
    assert [plain(pcm_writes.life(case.first_failure)) for case in writes.cases] == ["2 513", "31 250"]
    assert "31 250 inferences instead of 2 513, which" in plain(pcm_writes.story(writes))
    assert [plain(text) for text in (pcm_writes.cards(writes)[2].value, pcm_writes.cards(writes)[2].note)] == [
        "31 250",
        "2 513 before",
    ]
    assert [plain(text)[-23:] for _, text in pcm_writes.failures(writes, None)] == [
        "after 2 513 inferences.",
        "fter 31 250 inferences.",
    ]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (
            ("programmed", "reordered", 5.0, 50),
            ["Reordering writes 2 times fewer levels: 50 ", "goes from 10 to 5 pulses"],
        ),
        (
            ("learned", "as it comes", 10.0, 100),
            ["Training writes as many levels as before: 100", "stays at 10 pulses"],
        ),
        (
            ("mapped", "as it comes", 20.0, 300),
            ["Mapping writes more levels: 300", "fails after 25 000 inferences, which"],
        ),
        (("learned", "reordered", 0.0, 0), ["no level any more, instead of 100", "No cell ever wears out."]),
        (("aged", "reordered", 2.5, 10), ["Stage “aged” and reordering together write 10 times", "to 2.5 pulses"]),
    ],
)
def test_the_story_says_what_happened(
    made: SimpleNamespace, last: tuple[str, str, float, int], words: list[str]
) -> None:
    story = plain(pcm_writes.story(told(made, ("programmed", "as it comes", 10.0, 100), last)))
    for word in words:
        assert word in story


def test_one_case_is_compared_with_nothing(made: SimpleNamespace) -> None:
    writes = told(made, ("programmed", "as it comes", 10.0, 1234), rate_hz=None)
    assert plain(pcm_writes.story(writes)) == (
        "One inference writes 1 234 levels; the most written cell takes 10 pulses. "
        "The first cell fails after 50 000 inferences."
    )
    assert [(plain(card.value), card.note) for card in pcm_writes.cards(writes)] == [
        ("1 234", ""),
        ("10", "pulses per inference"),
        ("50 000", ""),
    ]


def test_the_key_figures(made: SimpleNamespace) -> None:
    found = pcm_writes.cards(WritesFile.model_validate(made.writes()))
    assert [tuple(map(plain, (card.label, card.value, card.note))) for card in found] == [
        ("Fewer levels written", "25 ×", "12 000 per inference instead of 300 000"),
        ("Most written cell", "400 → 20", "pulses per inference"),
        ("Inferences to the first failure", "25 000", "1 250 before"),
        ("First failure at 1 kHz", "25.0 s", "1.25 s before"),
    ]


def test_more_levels_are_not_called_fewer(made: SimpleNamespace) -> None:
    writes = told(made, ("programmed", "as it comes", 1.0, 100), ("learned", "as it comes", 0.0, 200))
    first, _, life, time = pcm_writes.cards(writes)
    assert (first.label, first.value, first.note) == ("Levels written per inference", "200", "100 before")
    assert (life.value, time.value) == ("never", "never")


def test_a_rate_that_writing_cannot_keep_up_with_is_said(made: SimpleNamespace) -> None:
    slow = told(made, ("programmed", "as it comes", 400.0, 100))  # 8 ms per inference, 1250 inferences
    assert [plain(note) for note in pcm_writes.notes(slow, {})] == [
        "Writing alone takes 8.00 ms, so one chip serves at most 125 Hz, not 1 kHz; "
        "at that pace its first cell fails after 10.0 s."
    ]
    assert pcm_writes.notes(told(made, ("programmed", "as it comes", 400.0, 100), rate_hz=100.0), {}) == []


@pytest.mark.parametrize("sharing", ["row_private", "column_shared", "block_shared"])
@pytest.mark.parametrize("start", ["erased", "repeat", "alternate"])
def test_each_chip_says_what_it_shares_and_where_it_starts(made: SimpleNamespace, sharing: str, start: str) -> None:
    fast = told(made, ("programmed", "as it comes", 10.0, 100))
    both = pcm_writes.notes(fast, {"sharing": sharing, "start": start})
    alone = pcm_writes.notes(fast, {"sharing": sharing})
    alone += pcm_writes.notes(fast, {"start": start, "sharing": "unheard of"})
    assert both == [" ".join(alone)] and len(alone) == 2


def test_failures_are_counted_plainly(made: SimpleNamespace) -> None:
    cases = (("programmed", "as it comes", 400.0, 1), ("learned", "reordered", 20.0, 1), ("learned", "x", 0.0, 0))
    writes = told(made, *cases, inferences=2000.0)
    counts = zip(writes.cases, (36, 0, 0), strict=True)
    writes = writes.replace(cases=[case.replace(cells_failed=failed) for case, failed in counts])
    assert {name: plain(text) for name, text in pcm_writes.failures(writes, 3824)} == {
        "programmed, as it comes": "36 of 3 824 cells have failed, the first after 1 250 inferences.",
        "learned, reordered": "no cell has failed; the first does after 25 000 inferences.",
        "learned, x": "no cell has failed; none ever does.",
    }
    assert next(pcm_writes.failures(writes, None))[1].startswith("36 cells have failed")
    assert list(pcm_writes.failures(told(made, *cases), 3824)) == []


def test_storage_of_the_order_stands_beside_that_of_the_weights(made: SimpleNamespace) -> None:
    assert plain(pcm_writes.storage(WritesFile.model_validate(made.writes()))) == (
        "The orders take 1 000 bits to store, 25.0 % of the 4 000 bits of the weights."
    )
    assert pcm_writes.storage(told(made, ("programmed", "as it comes", 1.0, 1))) == ""


def test_a_layer_stands_beside_itself(made: SimpleNamespace) -> None:
    content = made.writes()
    content["cases"][-1]["layers"].pop(0)
    rows = pcm_writes.rows(WritesFile.model_validate(content))
    assert [(row.before.name, row.after and row.after.levels) for row in rows] == [
        ("features.0", None),
        ("features.3", 7000),
    ]
