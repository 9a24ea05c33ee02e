"""The top of the page: the paper's claims, one by one, and what became of ours.

A claim of ours was stated before the first run of its study; every result carries its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.study import Claim, Study, Verdict

#: what a claim is followed by where its study has no result yet.
WAITING = "not run yet"


def judged(study: Study, results: list[Row]) -> list[tuple[Claim, Verdict | None]]:
    """Return the claims of a study with their verdicts; None where nothing was measured.

    Raises:
        ValueError: where a study judges other claims than it states.
    """
    if not results or study.judge is None:
        return [(claim, None) for claim in study.claims]
    verdicts = study.judge(results)
    if len(verdicts) != len(study.claims):
        raise ValueError(f"{len(verdicts)} verdicts for {len(study.claims)} claims: {study.about}")
    return list(zip(study.claims, verdicts, strict=True))


def of_paper(studies: Mapping[str, Study], sections: Mapping[str, tuple[list[Row], str]]) -> str:
    """Write the paper's claims beside what was measured here.

    Args:
        studies: by name, in the order of the page.
        sections: of each, its results and the text of its section.
    """
    rows = []
    for name, study in studies.items():
        results, text = sections.get(name, ([], ""))
        for claim, verdict in judged(study, results):
            if claim.paper:
                word = f"**{verdict.word}**" if verdict else WAITING
                ours = escaped(verdict.ours) if verdict else ""
                rows.append([linked(claim.text, text), ours, word])
    return paragraphs(
        [
            "## The paper's claims, and what we measured",
            table(["claimed there", "measured here", ""], rows),
        ]
    )


def of_ours(studies: Mapping[str, Study], sections: Mapping[str, tuple[list[Row], str]]) -> str:
    """Write every claim of ours with what became of it."""
    rows, count = [], {"holds": 0, "does not": 0, "differs": 0}
    for name, study in studies.items():
        results, text = sections.get(name, ([], ""))
        for claim, verdict in judged(study, results):
            if not claim.paper:
                word, ours = (verdict.word, escaped(verdict.ours)) if verdict else (WAITING, "")
                if verdict:
                    count[verdict.word] += 1
                rows.append([linked(study.about, text), escaped(claim.text), ours, word])
    return paragraphs(
        [
            "## What we had claimed before",
            f"Stated before the first run of each study, and kept in every result: "
            f"{count['holds']} hold, {count['does not']} do not, {count['differs']} hold for some "
            "learners or cases and not for others.",
            table(["study", "claimed", "measured", ""], rows),
        ]
    )


def linked(words: str, section: str) -> str:
    """Return words as a link to a section."""
    plain = escaped(words.rstrip("."))
    heading = re.search(r"^## (.+)$", section, re.MULTILINE)
    return f"[{plain}](#{slug(heading.group(1))})" if heading else plain


def escaped(text: str) -> str:
    """Return a text as a cell of a table may hold it."""
    return text.replace("|", r"\|")


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MkDocs make it."""
    kept = re.sub(r"[^\w\s-]", "", heading.strip().lower())
    return re.sub(r"\s", "-", kept)
