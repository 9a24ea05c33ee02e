"""From the tables and images of a run to report.html."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from taskdiscovery import data
from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.config import flag_of
from taskdiscovery.discovery.labelling import class_scores
from taskdiscovery.errors import DataError, RunDirError
from taskdiscovery.report import figures, splitview
from taskdiscovery.report.evidence import EvidenceView
from taskdiscovery.report.pictures import Sheet, class_margins, surest
from taskdiscovery.rundir import RunDir
from taskdiscovery.types import Dataset, FloatArray, IntArray


def write_report(run: Path | str, source: str | None = None) -> Path:
    """Write `report.html` into a run directory of `discover`.

    Args:
        run: the run directory; its scores and its split are shown where there are any.
        source: DATA, where the images are no longer where the run found them.

    Returns:
        The path of the file.

    Raises:
        RunDirError: where the run is not finished or damaged.
        DataError: where the images are not those of the run.
    """
    with RunDir.open(Path(run), write=True) as opened:
        pass  # one that is busy is refused before its images are read
    config, result = opened.config(), opened.result()
    if "tasks" not in result:
        raise RunDirError(
            "the run has no tasks to report", where=str(run), mend="give a finished run of discover"
        )
    dataset = data.load(
        source or str(config["data"]),
        size=config.get("size"),
        skip_bad=bool(config.get("skip_bad")),
    )
    if dataset.fingerprint != result["data"]["fingerprint"]:
        raise DataError(
            "these are not the images of the run", where=dataset.name, mend="give them with --data"
        )
    page = _render(_Page(opened, config, result, dataset).context())
    with RunDir.open(Path(run), write=True) as writable:
        writable.write("report.html", page.encode("utf-8", "backslashreplace"))
        writable.commit()
    return Path(run) / "report.html"


def _render(context: dict[str, Any]) -> str:
    """Fill the template; everything is escaped but our own style, script and figures."""
    here = resources.files("taskdiscovery.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sprites = "".join(f"--s-{name}:url({uri});" for name, uri in context.pop("sprites").items())
    style = (here / "style.css").read_text("utf-8") + f":root{{{sprites}}}"
    return environment.from_string((here / "page.html.j2").read_text("utf-8")).render(
        **context,
        style=Markup(style),  # our own file, and base64
        script=Markup((here / "script.js").read_text("utf-8")),
    )


class _Page:
    """What the template shows, gathered from the files of a run."""

    def __init__(
        self, run: RunDir, config: dict[str, Any], result: dict[str, Any], dataset: Dataset
    ) -> None:
        self.run, self.config, self.result, self.dataset = run, config, result, dataset
        self.table = run.table("tasks.parquet")
        self.names = [c for c in self.table.columns if c.startswith("task_")]
        self.labels_ND: IntArray = self.table[self.names].to_numpy(np.int64)
        coordinates = run.table("coordinates.parquet").drop(columns="image_id")
        self.coordinates = coordinates.to_numpy(np.float32)
        self.unseen: IntArray = np.flatnonzero((self.table["partition"] == "test").to_numpy())
        self.classes = int(result["classes"])
        self.scores = self._scores()
        self.evidence = EvidenceView(run, result, dataset, self.unseen)
        self.sprites: dict[str, str] = {}

    def context(self) -> dict[str, Any]:
        """Return everything the template names."""
        tasks = [self._task(d, name) for d, name in enumerate(self.names)]
        ranked = sorted(tasks, key=lambda t: -(t["agreement"] or 0))
        split = self._split()
        environment = self._environment()
        return {
            "version": environment["versions"].get("taskdiscovery", ""),
            "title": f"What {self.config['learner']} finds easy in {self._data_name()}",
            "lead": self._lead(),
            "tiles": self._tiles(split),
            "telling": ranked[:3],
            "agreement": self._agreement(),
            "split": split,
            "tasks": tasks,
            "label": self.evidence.label(),
            "coverage": self.evidence.coverage(),
            "architectures": self._architectures(),
            "similarity": self._similarity(),
            "commands": self._commands(),
            "provenance": self._provenance(environment),
            "sprites": self.sprites,
        }

    def _data_name(self) -> str:
        kind, _, path = str(self.dataset.name).partition(":")
        parts = [part for part in Path(path).parts if part not in ("/", "..", ".")]
        return "/".join(parts[-2:]) or kind

    def _lead(self) -> str:
        n, method = len(self.names), self.result["method"]
        guided = self.config.get("within") or self.config.get("exclude")
        blind = "" if guided else " without looking at any label"
        parts = "two halves" if self.classes == 2 else f"{self.classes} equal parts"
        text = (
            f"{n} labelings of {len(self.dataset):,} images were found by method {method}{blind}. "
            f"Each cuts the images in {parts}."
        )
        references = self._references()
        if self.scores is not None and references:
            mean = self.scores.loc[self.scores["task"].isin(self.names), "agreement"].mean()
            beside = " and ".join(f"{value:.2f} for {name}" for name, value in references.items())
            text += (
                f" Two networks trained on such a labeling agree on {mean:.0%} of the images they "
                f"have not seen; compare {beside}."
            )
        return text

    def _scores(self) -> pd.DataFrame | None:
        """The scores of one learner and preset: the run's own learner, the latest preset."""
        if not (self.run.path / "scores.parquet").exists():
            return None
        table = self.run.table("scores.parquet")
        table = table[table["task"].isin(self.names).groupby(table["preset"]).transform("any")]
        if table.empty:
            return None
        own = table[table["learner"] == self.config["learner"]]
        table = own if len(own) else table
        last = table.iloc[-1]
        keys = ["learner", "preset", "precision", "runs"]
        return table[(table[keys] == last[keys]).all(axis=1)]

    def _references(self) -> dict[str, float]:
        """Names and agreement of the human labeling (first) and of random labels."""
        if self.scores is None:
            return {}
        others = self.scores[~self.scores["task"].isin(self.names)]
        named = {
            (
                "random labels" if task == "random" else f"classes {task.removeprefix('label:')}"
            ): value
            for task, value in zip(others["task"], others["agreement"], strict=True)
        }
        return dict(sorted(named.items(), key=lambda item: item[0] == "random labels"))

    def _score_of(self, name: str) -> dict[str, Any] | None:
        if self.scores is None:
            return None
        rows = self.scores[self.scores["task"] == name]
        return None if rows.empty else dict(rows.iloc[-1])

    def _tiles(self, split: dict[str, Any] | None) -> list[dict[str, str]]:
        tiles = []
        scored = [s for s in map(self._score_of, self.names) if s is not None]
        if scored:
            values = [float(s["agreement"]) for s in scored]
            tiles.append(
                _tile(
                    "Discovered tasks",
                    f"{np.mean(values):.3f}",
                    f"mean agreement of {len(values)}; from {min(values):.3f} to {max(values):.3f}",
                )
            )
        else:
            correlations = [t["crossfit_correlation"] for t in self.result["tasks"]]
            if all(c is not None for c in correlations):
                note = "mean held-out correlation; not scored yet"
                tiles.append(_tile("Discovered tasks", f"{np.mean(correlations):.3f}", note))
        for name, value in self._references().items():
            kind = "random" if name == "random labels" else "human"
            note = "agreement by memory alone" if kind == "random" else f"human labeling: {name}"
            title = "Random labels" if kind == "random" else "Human labels"
            tiles.append(_tile(title, f"{value:.3f}", note, kind))
        if split is not None:
            accuracy = self.result["split"]["accuracy"]
            note = f"accuracy on {self.result['split']['target']}; a random split gives "
            note += f"{accuracy['random']['mean']:.2f}"
            tiles.append(
                _tile("Adversarial split", f"{accuracy['adversarial']['mean']:.2f}", note, "bad")
            )
        return tiles

    def _agreement(self) -> dict[str, Any] | None:
        if self.scores is None:
            return None
        rows = []
        for name in self.names:
            score = self._score_of(name)
            if score is not None:
                rows.append(
                    {
                        "name": name,
                        "mean": score["agreement"],
                        "low": score["low"],
                        "high": score["high"],
                    }
                )
        if not rows:
            return None
        first = self.scores.iloc[0]
        note = (
            f"Learner {first['learner']}, preset {first['preset']}, {int(first['runs'])} runs a "
            f"task; intervals over {first['covers']}."
        )
        least = min([r["low"] for r in rows] + list(self._references().values()))
        return {
            "note": note,
            "figure": figures.intervals(
                rows,
                low=max(0.0, min(0.5, float(np.floor(least * 10) / 10))),
                references=self._references(),
                label="Agreement of each task with its interval, beside the references",
            ),
        }

    def _task(self, d: int, name: str) -> dict[str, Any]:
        sheet = Sheet(images=self.dataset.images, ids=self.dataset.ids)
        margins_NC = self._margins(d)
        for c in range(self.classes):
            rows = surest(margins_NC[:, c], self.unseen)
            sheet.add(f"surest of class {c}", rows[margins_NC[rows, c] > 0])
        doubt_N = -np.sort(margins_NC, axis=1)[:, -1]
        sheet.add("most ambiguous", surest(doubt_N, self.unseen))
        disagreement = self._disagreement(name)
        if disagreement is not None:
            sheet.add(
                "runs disagree", surest(disagreement, self.unseen[disagreement[self.unseen] > 0])
            )
        self.evidence.add_examples(sheet, d, name)
        self.sprites[name] = sheet.sprite()
        score = self._score_of(name)
        row = self.result["tasks"][d]
        facts: list[tuple[str, str]] = []
        if score is not None:
            if score["kappa"] is not None and np.isfinite(score["kappa"]):
                facts.append(("κ", f"{score['kappa']:.2f}"))
            facts.append(("accuracy", f"{score['accuracy']:.2f}"))
        facts.append(("rate", f"{row['rate']:.2f}"))
        if row.get("crossfit_correlation") is not None:
            facts.append(("held-out correlation", f"{row['crossfit_correlation']:.2f}"))
        name_of, value = facts[-1]
        headline = f"{name_of} {value}" if score is None else f"agreement {score['agreement']:.3f}"
        return {
            "name": name,
            "headline": headline,
            "agreement": None if score is None else float(score["agreement"]),
            "low": None if score is None else float(score["low"]),
            "high": None if score is None else float(score["high"]),
            "bar": None if score is None else self._bar(score),
            "facts": facts,
            "verdict": self.evidence.verdict(name),
            "evidence": self.evidence.of(name),
            "rows": sheet.rows,
            "height": sheet.height,
        }

    def _bar(self, score: dict[str, Any]) -> dict[str, Any]:
        def percent(value: float) -> float:
            return round(100 * min(max(2 * value - 1, 0.0), 1.0), 1)  # from 0.5 to 1

        return {
            "low": percent(score["low"]),
            "width": round(percent(score["high"]) - percent(score["low"]), 1),
            "marks": [percent(v) for v in self._references().values()],
        }

    def _margins(self, d: int) -> FloatArray:
        """(N, C) how surely an image is of each class."""
        if self.classes == 2:
            x = self.coordinates[:, d].astype(np.float64)
            return np.stack([-x, x], axis=1)
        return class_margins(class_scores(self.coordinates, d, self.classes))

    def _disagreement(self, name: str) -> FloatArray | None:
        file = self.run.path / "per_image.parquet"
        if not file.exists():
            return None
        table = self.run.table("per_image.parquet")
        if name not in table:
            return None
        return 1 - table[name].fillna(1.0).to_numpy(np.float64)

    def _split(self) -> dict[str, Any] | None:
        found = self.result.get("split")
        if found is None:
            return None
        made = splitview.view(self.run, found, self.dataset)
        self.sprites["split"] = made.pop("sprite")
        return made

    def _similarity(self) -> dict[str, Any] | None:
        if len(self.names) < 2:
            return None
        matrix_DD = similarity_matrix(self.labels_ND[self.unseen], self.classes)
        pairs = matrix_DD[np.triu_indices(len(self.names), 1)]
        text = (
            "Similarity is the share of images labelled alike under the best renaming of classes; "
            f"unrelated tasks have {1 / self.classes:.2f}. Here it is {pairs.mean():.3f} on "
            f"average and {pairs.max():.3f} at most."
        )
        label = "Similarity of each pair of tasks"
        return {"text": text, "figure": figures.heatmap(matrix_DD, self.names, label)}

    def _architectures(self) -> dict[str, Any] | None:
        """Tasks found for one learner, scored with others: mean agreement of each."""
        if not (self.run.path / "scores.parquet").exists():
            return None
        table = self.run.table("scores.parquet")
        learners = list(dict.fromkeys(table["learner"]))
        if len(learners) < 2:
            return None
        human = [t for t in table["task"].unique() if t not in (*self.names, "random")]
        rows = []
        for learner in learners:
            own = table[table["learner"] == learner]
            row = [str(learner)]
            for group in (self.names, human, ["random"]):
                values = own.loc[own["task"].isin(group), "agreement"]
                row.append(f"{values.mean():.3f} ({len(values)})" if len(values) else "")
            rows.append(row)
        return {"found_for": self.config["learner"], "rows": rows}

    def _commands(self) -> list[str]:
        learner, spec = self.config["learner"], str(self.config["data"])
        place = str(self.run.path)
        options = [
            f"{flag_of(key)}={value}"
            for key, value in self.config.items()
            if key not in ("format", "command", "data") and value not in (None, "", False)
        ]
        lines = [shlex.join(["taskdiscovery", "discover", spec, *options, "--out", place])]
        if self.scores is not None:
            first = self.scores.iloc[0]
            more = ["--learner", str(first["learner"]), "--preset", str(first["preset"])]
            more += ["--runs", str(int(first["runs"]))]
            lines.append(shlex.join(["taskdiscovery", "score", spec, "--from", place, *more]))
        if "split" in self.result:
            found = self.result["split"]
            more = ["--target", found["target"], "--from", place, "--learner", learner]
            more += ["--preset", found["preset"], "--runs", str(found["runs"])]
            if found.get("transfer"):
                more += ["--transfer", ";".join(found["transfer"])]
            lines.append(shlex.join(["taskdiscovery", "split", spec, *more]))
        if "analysis" in self.result:
            lines.append(shlex.join(["taskdiscovery", "analyze", place]))
        lines.append(shlex.join(["taskdiscovery", "report", place]))
        return lines

    def _environment(self) -> dict[str, Any]:
        import json

        try:
            document = json.loads((self.run.path / "environment.json").read_text("utf-8"))
        except (OSError, ValueError):
            document = {}
        return {"versions": {}, **document}

    def _provenance(self, environment: dict[str, Any]) -> list[tuple[str, str]]:
        versions = ", ".join(f"{k} {v}" for k, v in environment["versions"].items())
        rows = [
            ("data", f"{self.dataset.name}, {len(self.dataset):,} images"),
            ("fingerprint", self.dataset.fingerprint),
            ("discovered on", f"{self.result['train_images']:,} images of the train partition"),
            ("measured on", f"the test partition, {len(self.unseen):,} images"),
            ("method", f"{self.result['method']}, {self.result['seconds']:.0f} s"),
            ("precision", str(self.result["precision"])),
            (
                "processor",
                f"{environment.get('processor', '')}, {environment.get('cpus', '')} cores",
            ),
            ("versions", versions),
        ]
        return rows


def _tile(name: str, value: str, note: str, kind: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "note": note, "kind": kind}
