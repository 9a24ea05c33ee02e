"""cleanlab's check of spurious correlations, on the sets that the audit is measured on.

`python properties.py SETS.npz` prints what it flags, and is run by a Python that has
`cleanlab[image]` (of the extra `benchmarks`, or `--cleanlab PYTHON` of another environment). It is
asked as its documentation asks it: a Datalab with an image key, all its defaults.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

#: what cleanlab measures of an image, and the cues that it names right.
NAMES = {"brightness": ("dark_score", "light_score"), "blur": ("blurry_score",)}
NAMES |= {"resolution": ("blurry_score",), "contrast": ("dark_score", "light_score")}


def flagged(images: Any, labels: Any) -> dict[str, Any]:
    """Return cleanlab's score of each property, its threshold, and the properties below it."""
    import cleanvision.imagelab
    from cleanlab import Datalab
    from datasets import Dataset, Features, Image, Value
    from PIL import Image as Pictures

    # Several processes would each be sent the whole set with every image: minutes for seconds.
    cleanvision.imagelab.get_max_n_jobs = lambda: 1
    pictures = [Pictures.fromarray(one.squeeze()) for one in images]
    table = Dataset.from_dict(
        {"image": pictures, "label": labels.tolist()},
        features=Features({"image": Image(), "label": Value("int64")}),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        lab = Datalab(data=table, label_name="label", image_key="image")
        lab.find_issues()
    found = lab.get_info("spurious_correlations")
    frame = found["correlations_df"]
    scores = dict(zip(frame["property"], frame["score"].astype(float), strict=True))
    below = sorted(name for name, score in scores.items() if score < found["threshold"])
    return {"scores": scores, "threshold": found["threshold"], "flags": below}


def asked(python: str, images: Any, labels: Any) -> dict[str, Any]:
    """Return what `flagged` says in another Python."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "set.npz"
        np.savez(place, images=images, labels=labels)
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, "-W", "ignore", str(Path(__file__).resolve()), str(place)],
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.path.pop(0)  # this folder's modules are not cleanlab's
    with np.load(sys.argv[1]) as kept:
        print(json.dumps(flagged(kept["images"], kept["labels"])))
