"""Runs as jobs leave them, which the cases begin with: finished, added to, and stopped midway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LEARNER = "convnet?width=0.25"


def _discover(data: str, out: Path, **more: Any) -> None:
    import taskdiscovery as td

    method = td.Power(iterations=2)
    td.discover(data, method=method, tasks=3, epochs=2, encoder_epochs=2, out=out, **_how(), **more)


def _how() -> dict[str, Any]:
    return {"learner": LEARNER, "threads": 1, "executor": "serial"}


def _score(data: str, tasks: Any, out: Path, **more: Any) -> None:
    import taskdiscovery as td

    td.score(data, tasks, preset="smoke", runs=2, out=out, **_how(), **more)


def _split(tasks: Any, out: Path, **more: Any) -> None:
    import taskdiscovery as td

    how: dict[str, Any] = {"preset": "smoke", "runs": 2, "controls": ("random",)}
    td.split("digits", "label", tasks, out=out, **how, **_how(), **more)


def _stopper(after: int) -> Any:
    """Return a callback that stops a job after so many checkpoints, as Ctrl-C does."""
    from taskdiscovery import Callback

    class Stop(Callback):
        def on_checkpoint(self, number: int) -> None:
            if number >= after:
                raise KeyboardInterrupt

    return [Stop()]


def discovered(out: Path) -> None:
    """Make a run of `discover`."""
    _discover("digits", out, callbacks=())


def whole(out: Path) -> None:
    """Make a run to which every command has added its results."""
    from taskdiscovery.cli import main

    discovered(out)
    _score("digits", str(out), out, callbacks=())
    _split(str(out), out, callbacks=())
    images = ["--images", "50", "--probe-images", "20"]
    main(["analyze", str(out), *images, "--threads", "1", "--quiet"])
    main(["report", str(out), "--quiet"])


def scored(out: Path) -> None:
    """Make a run of `score` alone."""
    _score("digits", "label:0,1", out, callbacks=())


def divided(out: Path) -> None:
    """Make a run of `split` alone."""
    _split("untrained:linear", out, callbacks=())


def from_a_file(out: Path) -> None:
    """Make a run of `discover` on a file that lies elsewhere."""
    import taskdiscovery as td

    digits, place = td.load("digits"), out.parent / "digits.npz"
    np.savez(place, images=digits.images[:400], labels=np.arange(400) % 10)
    _discover(f"npz:{place}", out, callbacks=())


def stopped_discovery(out: Path) -> None:
    """Leave a `discover` unfinished, with checkpoints."""
    _stopped(lambda: _discover("digits", out, checkpoint_every=0.0, callbacks=_stopper(8)))


def stopped_score(out: Path) -> None:
    """Leave a `score` unfinished that adds to a run of `discover`."""
    discovered(out)
    how = {"checkpoint_every": 0.0, "callbacks": _stopper(5)}
    _stopped(lambda: _score("digits", str(out), out, **how))


def stopped_split(out: Path) -> None:
    """Leave a `split` unfinished."""
    how = {"checkpoint_every": 0.0, "callbacks": _stopper(4)}
    _stopped(lambda: _split("untrained:linear", out, **how))


def _stopped(job: Callable[[], None]) -> None:
    try:
        job()
    except KeyboardInterrupt:
        return
    raise RuntimeError("the job ended before it was stopped")


BASES: dict[str, Callable[[Path], None]] = {
    "whole": whole,
    "discovered": discovered,
    "scored": scored,
    "divided": divided,
    "from a file": from_a_file,
    "stopped discovery": stopped_discovery,
    "stopped score": stopped_score,
    "stopped split": stopped_split,
}
STOPPED = tuple(name for name in BASES if name.startswith("stopped"))
