"""The top of the results page: claims, each with what became of it."""

import pytest
from experiments import page, summary
from experiments.judging import verdict
from experiments.study import Claim, Study, Verdict


def study(judge=None, **claims):
    stated = tuple(Claim(text=text, paper=text.startswith("paper")) for text in claims.values())
    return Study(
        run=lambda lab, learner: {},
        tell=lambda results, place: "",
        minutes=1,
        learners=("linear",),
        about="a study",
        claims=stated,
        judge=judge,
    )


def test_claims_of_the_paper_and_ours_are_told_apart_and_counted():
    def judge(results):
        return [Verdict(word="holds", ours="0.9"), Verdict(word="does not", ours="0.1")]

    studies = {
        "done": study(judge, a="paper says so.", b="we say so"),
        "waiting": study(judge, c="paper says more"),
    }
    sections = {"done": ([{"learner": "linear"}], "## How it is, really\n\ntext")}
    theirs = summary.of_paper(studies, sections)
    assert "| [paper says so](#how-it-is-really) | 0.9 | **holds** |" in theirs
    assert "| paper says more |  | not run yet |" in theirs
    assert "we say so" not in theirs
    ours = summary.of_ours(studies, sections)
    assert "0 hold, 1 do not, 0 hold for some" in ours
    assert "paper says" not in ours


def test_a_study_that_judges_other_claims_than_it_states_is_refused():
    own = study(lambda results: [], a="we say so")
    with pytest.raises(ValueError, match="0 verdicts for 1 claims"):
        summary.judged(own, [{}])


@pytest.mark.parametrize(
    ("held", "word"), [((True, True), "holds"), ((True, False), "differs"), ((False,), "does not")]
)
def test_several_learners_make_one_word(held, word):
    found = verdict([(one, str(i)) for i, one in enumerate(held)])
    assert found.word == word
    assert found.ours.startswith("0")


def test_minutes_of_a_card_are_not_core_hours():
    assert page.on_card(["better", "--device", "cuda", "--threads", "4"])
    assert not page.on_card(["better", "--device", "cpu", "--work", "cuda"])
