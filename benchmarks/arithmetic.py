"""What ImageNet would cost: operations are counted, rates are assumed, nothing is timed.

Operations of a forward pass are counted by `networks.flops` (convolutions and linear layers, a
multiplication and an addition each); a backward pass takes twice as many. One rate is assumed for
all: `SUSTAINED`, what 2,500 images of 224 pixels a second are for ResNet-50, which is the order of
published training results on one GPU of 80 GB. It is 6 % of the peak of an H100 in bf16; memory,
not arithmetic, bounds such networks. A test holds the tables of `docs/scale.md` against these.

    python -m benchmarks.arithmetic
"""

from __future__ import annotations

import torch

from taskdiscovery import networks

#: bf16 operations a second of one GPU, while it trains: assumed.
SUSTAINED = 60e12
#: IEEE float32 operations a second of one GPU, in products of matrices: assumed, half of the peak
#: of an H100; and bytes a second that the host reads from a map and copies to it.
FLOAT32, COPIED = 30e12, 4e9
#: images; passes as many as trainings take of each: of discovery by `power`, and of one score.
N, DISCOVERY, SCORE = 1.28e6, 18 + 3 + 7 / 3, 18
TRAININGS = 64
LEARNERS = (
    ("resnet50", 224),
    ("resnet18", 224),
    ("resnet50", 64),
    ("resnet18", 64),
    ("resnet50?stem=small", 224),
)


def operations(learner: str, side: int) -> float:
    """Count the operations of a forward pass of one image."""
    shape = (side, side, 3)
    with torch.device("meta"):
        model = networks.build(learner, shape, 1000, networks.Normalization.none(3), None)
        return networks.flops(model, shape)


def learners() -> list[str]:
    """Return the rows of learners: operations, rates, bytes, hours."""
    rows = []
    for learner, side in LEARNERS:
        forward = operations(learner, side)
        rate = SUSTAINED / (3 * forward)
        cells = [
            f"`{learner}`, {side} px",
            f"{forward / 1e9:.2f}",
            f"{rate:,.0f}",
            f"{rate * side * side * 3 / 1e9:.2f} GB/s",
            f"{N * DISCOVERY / rate / 3600:.1f} h",
            f"{N * SCORE / rate / 3600:.1f} h",
            f"{N * (DISCOVERY + TRAININGS * SCORE) / rate / 3600:,.0f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def closed_forms(rows: float = N, P: int = 768, R: int = 384, S: int = 32) -> list[str]:
    """Return the rows of closed forms on features: operations, and seconds of one GPU.

    Args:
        rows: N, of the table, in float16.
        P, R, S: features, components, coordinates.
    """
    read = 2 * rows * P / COPIED
    parts = (
        ("means and products of the features", 2 * rows * P * P, read),
        ("their components", 2 * rows * P * R, read + 4 * rows * R / COPIED),
        ("Gram matrices of the blocks", 2 * rows * R * R, 4 * rows * R / COPIED),
        (
            "an iteration: with targets, predictions",
            4 * rows * R * S,
            8 * rows * S / COPIED,
        ),
    )
    return [
        f"| {name} | {count / 1e12:.2f} | {count / FLOAT32:.2f} s | {copied:.2f} s |"
        for name, count, copied in parts
    ]


def main() -> None:
    """Print both tables."""
    print("\n".join([*learners(), "", *closed_forms()]))


if __name__ == "__main__":
    main()
