"""Train what the study of estimates needs, by one learner and seed."""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from functools import partial
from pathlib import Path

from benchmarks import human
from benchmarks.machine import own_process

import experiments.estimating as package
import taskdiscovery as td
from experiments.estimating import parts
from experiments.ledger import Ledger
from taskdiscovery.data.corruptions import CORRUPTIONS, STRENGTHS

_LOG = logging.getLogger("taskdiscovery")


def main() -> None:
    """Do the parts that are asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.estimating", description=(package.__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", required=True, help="CIFAR-10's training images")
    parser.add_argument("--other", required=True, help="its test images")
    parser.add_argument("--tasks", nargs=2, required=True, help="runs of eight tasks each")
    parser.add_argument("--published", type=Path, required=True, help="ssl_tasks.csv")
    parser.add_argument("--learner", default="mlp")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=20_000, help="that a labeling is trained on")
    parser.add_argument("--parts", default="corruption,split,labeling")
    parser.add_argument("--cuts", type=int, nargs="*", help="human cuts to split; by default seven")
    parser.add_argument("--corrupt", default="", help="only make corrupted images: every k/n")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/experiments/estimating"))
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.simplefilter("ignore")
    own_process(options.threads)
    first, second = (td.open_run(place).tasks for place in options.tasks)
    setting = parts.Setting(
        dataset=td.load(options.data),
        other=td.load(options.other),
        discovered=(first, second),
        published=options.published,
        learner=options.learner,
        seed=options.seed,
        images=options.images,
        options={"device": options.device, "threads": options.threads},
        ledger=Ledger(place=options.work / "answers"),
    )
    changed = partial(parts.corrupted, setting, options.work / "corrupted")
    if options.corrupt:
        k, n = map(int, options.corrupt.split("/"))
        names = [(name, a) for name in CORRUPTIONS for a in STRENGTHS]
        for name, strength in names[k::n]:
            changed(name, strength)
        return
    ways = {
        "labeling": lambda: parts.labelings(setting),
        "corruption": lambda: parts.corruptions(setting, changed),
        "split": lambda: parts.splits(setting, options.cuts or human.CORE),
    }
    for name in options.parts.split(","):
        began = time.perf_counter()
        for key in ways[name]():
            _LOG.warning("%s: %.1f s", key, time.perf_counter() - began)
            began = time.perf_counter()


if __name__ == "__main__":
    main()
