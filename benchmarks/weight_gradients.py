"""The derivative of a convolution by its weights: oneDNN's kernel beside a matrix product, in bf16.

`taskdiscovery.networks.convolutions.worthwhile` is drawn from this. Times are medians over rounds
in which the two take turns; `chosen` is what `worthwhile` says of the shape.

    python -m benchmarks.weight_gradients --json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.machine import Side, alternate, own_process
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.networks.convolutions import weight_gradient, worthwhile

CHANNELS = [(16, 16), (32, 32), (64, 64), (64, 128), (128, 128), (256, 256)]
#: operations of a derivative above which a shape is left out, to keep the whole within minutes.
MOST = 2e10


def shapes(batch: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield kernel, stride, width of the output map, channels in and out."""
    for kernel, stride in ((3, 1), (3, 2), (1, 1), (1, 2)):
        for width in (16, 8, 4, 2):
            for fan_in, fan_out in CHANNELS:
                if 2 * batch * (width * kernel) ** 2 * fan_in * fan_out <= MOST:
                    yield kernel, stride, width, fan_in, fan_out


def measure(
    kernel: int, stride: int, width: int, fan_in: int, fan_out: int, batch: int, rounds: int
) -> dict[str, Any]:
    """Time one shape both ways."""
    height, pad = width * stride, kernel // 2
    x = _random(batch, fan_in, height, height)
    weight = _random(fan_out, fan_in, kernel, kernel)
    G = torch.randn_like(F.conv2d(x, weight, stride=stride, padding=pad))
    square = (stride, stride), (pad, pad)

    def library() -> None:
        torch.ops.aten.convolution_backward(
            G, x, weight, None, *square, (1, 1), False, (0, 0), 1, [False, True, False]
        )

    def product() -> None:
        weight_gradient(G, x, (kernel, kernel), *square)

    sides = [Side(library), Side(product)]
    alternate(sides, rounds)
    return {
        "kernel": kernel,
        "stride": stride,
        "width": width,
        "channels": [fan_in, fan_out],
        "library_ms": round(sides[0].seconds * 1e3, 3),
        "product_ms": round(sides[1].seconds * 1e3, 3),
        "speedup": round(sides[0].seconds / sides[1].seconds, 2),
        "chosen": worthwhile(kernel, stride, width, (fan_in, fan_out), torch.get_num_threads()),
    }


def _random(*shape: int) -> Tensor:
    return torch.randn(shape).to(torch.bfloat16, memory_format=torch.channels_last)


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, one after the other")
    add_output(parser)
    options = parser.parse_args()
    cases = []
    for threads in map(int, options.threads.split(",")):
        own_process(threads)
        cases += told(
            {"threads": threads, **measure(*shape, options.batch, options.rounds)}
            for shape in shapes(options.batch)
        )
    deliver({"batch": options.batch, "cases": cases, "environment": about()}, options)


if __name__ == "__main__":
    main()
