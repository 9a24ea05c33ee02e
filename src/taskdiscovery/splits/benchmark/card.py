"""The card of a benchmark: what it is, for people and for the Hugging Face hub.

Axes: none.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from taskdiscovery.errors import as_markdown
from taskdiscovery.splits.benchmark.columns import IMAGE, Column
from taskdiscovery.splits.benchmark.rows import AGREEING, CONFLICTING, SPLITS, TRAIN, Benchmark
from taskdiscovery.types import Document, IntArray

#: where the tests lie, which all strengths share.
TESTS = "tests"

_TEXT = """
# {title}

A network that is trained here may learn **{task}** in place of **{target}**. From strength to
strength both go together in more of the training images; the test sets stay the same.

| | |
|---|---|
| data | {data}, {images:,} images |
| target (`label`) | {target}: {classes} |
| task (`task`) | {task}: {sides} |
| agrees (`agrees`) | {agreement} |
| group (`group`) | class of the target times two, plus that of the task |
| made with | taskdiscovery, seed {seed} |

## Parts

- `train`, `validation`: of each strength. Strength is the share of images on which target and task
  agree; it is the same in every class.
- `{agreeing}`: target and task agree. In distribution for strength 1.
- `{conflicting}`: target and task differ. The test that breaks what has learnt the task.

Every class has as many images as any other, in every part, and every strength trains on as many.
Both test sets are the same files for all strengths. Training at strength s is in its own
distribution right on `s * accuracy({agreeing}) + (1 - s) * accuracy({conflicting})`.
{left_out}
{counts}

## Reading it

```python
datasets.load_dataset("PATH", "{config}")                          # Hugging Face
taskdiscovery.load("parquet:PATH/{config}?split=train")
taskdiscovery.load("parquet:PATH/{tests}?split={conflicting}")
```

`{config}/metadata.csv` lists the images in the order of the tables, with the columns of Waterbirds,
which code for WILDS and group DRO reads: `img_id`, `img_filename`, `y`, `split`, `place` (the class
of the task); and `group`, `image_id`. Splits are numbered: {numbers}. The files that it names are
written by `taskdiscovery.splits.benchmark.unpack("PATH", {strength:g}, "NEW")`.

`SHA256SUMS` has the checksum of every file (`taskdiscovery verify PATH`, or `sha256sum -c
SHA256SUMS`). `benchmark.json` has one of the contents of every part (pixels, ids, labels), which
another encoder of PNG or Parquet leaves as it is
(`taskdiscovery.splits.benchmark.check("PATH", contents=True)`).

The images are those of {data}: the terms that they came under hold for them here.
"""


def config_name(strength: float) -> str:
    """Return what a strength is called, as a folder and as a configuration."""
    return f"strength-{strength:.2f}"


def start_of(strength: float, split: str) -> str:
    """Return what paths of the files of a split begin with, relative to the benchmark's folder."""
    folder = config_name(strength) if split not in (AGREEING, CONFLICTING) else TESTS
    return f"{folder}/{split}"


def card(benchmark: Benchmark, columns: list[Column], sizes: Mapping[str, int]) -> str:
    """Return the text of `README.md`, its head in YAML.

    Args:
        benchmark: what it is of.
        columns: all but the images.
        sizes: bytes of the files of each part, by what their paths begin with.
    """
    document = _head(benchmark, columns, sizes)
    head = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    target, task = benchmark.target, benchmark.task
    agreement = "; ".join(
        f"{name} with {task.classes[side]}"
        for name, side in zip(target.classes, benchmark.side_C.tolist(), strict=True)
    )
    text = _TEXT.format(
        title=as_markdown(f"{target.name} against {task.name}"),
        task=as_markdown(task.name),
        target=as_markdown(target.name),
        data=as_markdown(called(benchmark.dataset.name)),
        images=len(benchmark.dataset),
        classes=as_markdown(", ".join(target.classes)),
        sides=as_markdown(", ".join(task.classes)),
        agreement=as_markdown(agreement),
        seed=benchmark.seed,
        agreeing=AGREEING,
        conflicting=CONFLICTING,
        left_out=_left_out(benchmark),
        strength=benchmark.strengths[-1],
        counts=_counts(benchmark),
        config=config_name(benchmark.strengths[-1]),
        tests=TESTS,
        numbers=", ".join(f"{i} {name}" for i, name in enumerate(SPLITS)),
    )
    return f"---\n{head}---\n{text}"


def _left_out(benchmark: Benchmark) -> str:
    """Tell of copies: those that were left out, and those that are on both sides."""
    tested = sum(map(len, benchmark.tests.values()))
    told = [
        (benchmark.copies, f"{benchmark.copies:,} exact copies of other images were left out."),
        (
            benchmark.together,
            f"{benchmark.together:,} images are in one part with their near copies.",
        ),
        (
            benchmark.near,
            f"{benchmark.near:,} of {tested:,} test images have a near copy among the others.",
        ),
    ]
    found = [text for count, text in told if count]
    return f"\n{chr(10).join(found)}\n" if found else ""


def _head(benchmark: Benchmark, columns: list[Column], sizes: Mapping[str, int]) -> Document:
    configs, infos = [], []
    for strength in benchmark.strengths:
        rows = benchmark.rows(strength)
        files = [
            {"split": name, "path": f"{start_of(strength, name)}-*.parquet"} for name in SPLITS
        ]
        configs.append({"config_name": config_name(strength), "data_files": files})
        entries = [{"name": IMAGE, "dtype": "image"}, *(own.entry for own in columns)]
        splits = [
            {
                "name": name,
                "num_bytes": sizes[start_of(strength, name)],  # `datasets` wants a number
                "num_examples": len(rows[name]),
            }
            for name in SPLITS
        ]
        infos.append({"config_name": config_name(strength), "features": entries, "splits": splits})
    return {
        "pretty_name": f"{benchmark.target.name} against {benchmark.task.name}",
        "task_categories": ["image-classification"],
        "tags": ["spurious-correlation", "distribution-shift", "taskdiscovery"],
        "configs": configs,
        "dataset_info": infos,
    }


def _counts(benchmark: Benchmark) -> str:
    """Tell how many images there are, and on how many both agree."""
    lines = ["| strength | train | validation | agree in train |", "|---|---|---|---|"]
    for strength in benchmark.strengths:
        rows = benchmark.rows(strength)
        agreeing = _agreeing(benchmark, rows[TRAIN])
        numbers = f"{len(rows[TRAIN]):,} | {len(rows['validation']):,} | {agreeing:.1%}"
        lines.append(f"| {strength:.2f} | {numbers} |")
    told = ", ".join(f"`{name}` {len(rows):,}" for name, rows in benchmark.tests.items())
    return "\n".join([*lines, "", f"Test sets: {told} images."])


def _agreeing(benchmark: Benchmark, rows: IntArray) -> float:
    return float(benchmark.agree_N[rows].mean())


def called(data: str) -> str:
    """Return what the data is called, without the folders that it lay in: a card is for others."""
    name = data.partition("?")[0].rstrip("/")
    return name if name.startswith("hf:") else name.rpartition("/")[2] or data
