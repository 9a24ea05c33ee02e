"""The kernels of `networks.fused_norm`, in Triton.

Each looks at a block of PIXELS × CHANNELS of a map that is (M, C) in memory, and adds up in
float32, in a fixed order. Arguments are pointers, then M pixels and C channels; a span is how many
pixels one program adds up.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments(x, sums, squares, M, C, span, PIXELS: tl.constexpr, CHANNELS: tl.constexpr):
    """Write the sum, and the squared distance from the own mean, of a span of pixels."""
    part, c = tl.program_id(0), tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    first = part * span
    last = tl.minimum(first + span, M)
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    square = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for start in range(first, last, PIXELS):
        m = start + tl.arange(0, PIXELS)
        inside = (m < last)[:, None] & (c < C)[None, :]
        place = m.to(tl.int64)[:, None] * C + c[None, :]
        value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        total += value
        square += value * value
    sum_C, count = tl.sum(total, 0), tl.maximum(last - first, 1).to(tl.float32)
    square_C = tl.sum(square, 0) - sum_C * sum_C / count
    tl.store(sums + part * C + c, sum_C, mask=c < C)
    tl.store(squares + part * C + c, tl.maximum(square_C, 0.0), mask=c < C)


@triton.jit
def statistics(
    sums,
    squares,
    mean,
    rstd,
    running_mean,
    running_var,
    seen,
    M,
    C,
    span,
    parts,
    eps,
    momentum,
    SUMS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Join the moments of all spans, and move the running statistics."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((SUMS, CHANNELS), tl.float32)
    for start in range(0, parts, SUMS):
        p = start + tl.arange(0, SUMS)
        inside = (p < parts)[:, None] & (c < C)[None, :]
        total += tl.load(sums + p[:, None] * C + c[None, :], mask=inside, other=0.0)
    mean_C = tl.sum(total, 0) / M
    spread = tl.zeros((SUMS, CHANNELS), tl.float32)
    for start in range(0, parts, SUMS):
        p = start + tl.arange(0, SUMS)
        inside = (p < parts)[:, None] & (c < C)[None, :]
        count = tl.maximum(tl.minimum(p * span + span, M) - p * span, 0).to(tl.float32)[:, None]
        own = tl.load(sums + p[:, None] * C + c[None, :], mask=inside, other=0.0)
        away = own / tl.maximum(count, 1.0) - mean_C[None, :]
        square = tl.load(squares + p[:, None] * C + c[None, :], mask=inside, other=0.0)
        spread += square + tl.where(inside, count * away * away, 0.0)
    square_C = tl.sum(spread, 0)
    tl.store(mean + c, mean_C, mask=c < C)
    tl.store(rstd + c, 1.0 / tl.sqrt_rn(square_C / M + eps), mask=c < C)
    old = tl.load(running_mean + c, mask=c < C)
    tl.store(running_mean + c, old + momentum * (mean_C - old), mask=c < C)
    old = tl.load(running_var + c, mask=c < C)
    unbiased = square_C / tl.maximum(M - 1, 1)
    tl.store(running_var + c, old + momentum * (unbiased - old), mask=c < C)
    if tl.program_id(0) == 0:
        tl.store(seen, tl.load(seen) + 1)


@triton.jit
def activate(
    x,
    added,
    weight,
    bias,
    mean,
    rstd,
    y,
    M,
    C,
    ADDED: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write max(0, x̂·w + b + added)."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    m = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = (m < M)[:, None] & (c < C)[None, :]
    place = m.to(tl.int64)[:, None] * C + c[None, :]
    factor = tl.load(weight + c, mask=c < C) * tl.load(rstd + c, mask=c < C)
    shift = tl.load(bias + c, mask=c < C) - tl.load(mean + c, mask=c < C) * factor
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    value = value * factor[None, :] + shift[None, :]
    if ADDED:
        value += tl.load(added + place, mask=inside, other=0.0).to(tl.float32)
    # Not a number stays one, as everywhere in torch: maximum(0, nan) would hide it.
    value = tl.where(value < 0, 0.0, value)
    tl.store(y + place, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def upstream(
    upstream,
    x,
    y,
    weight,
    bias,
    mean,
    rstd,
    passed,
    sums,
    scaled,
    M,
    C,
    span,
    ADDED: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Sum G and G·x̂ over a span of pixels, where G is what comes through the ReLU.

    Where something was added, G is its derivative, too, and is written.
    """
    part, c = tl.program_id(0), tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    first = part * span
    last = tl.minimum(first + span, M)
    mean_C, rstd_C = tl.load(mean + c, mask=c < C), tl.load(rstd + c, mask=c < C)
    factor = tl.load(weight + c, mask=c < C) * rstd_C
    shift = tl.load(bias + c, mask=c < C) - mean_C * factor
    total = tl.zeros((PIXELS, CHANNELS), tl.float32)
    along = tl.zeros((PIXELS, CHANNELS), tl.float32)
    for start in range(first, last, PIXELS):
        m = start + tl.arange(0, PIXELS)
        inside = (m < last)[:, None] & (c < C)[None, :]
        place = m.to(tl.int64)[:, None] * C + c[None, :]
        value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        given = tl.load(upstream + place, mask=inside, other=0.0)
        if ADDED:
            given = tl.where(tl.load(y + place, mask=inside, other=0.0) <= 0, 0.0, given)
            tl.store(passed + place, given.to(passed.dtype.element_ty), mask=inside)
            G = given.to(tl.float32)
        else:
            G = tl.where(value * factor[None, :] + shift[None, :] <= 0, 0.0, given.to(tl.float32))
        G = tl.where(inside, G, 0.0)
        total += G
        along += G * (value - mean_C[None, :]) * rstd_C[None, :]
    tl.store(sums + part * C + c, tl.sum(total, 0), mask=c < C)
    tl.store(scaled + part * C + c, tl.sum(along, 0), mask=c < C)


@triton.jit
def sum_parts(
    sums, scaled, by_bias, by_weight, C, parts, SUMS: tl.constexpr, CHANNELS: tl.constexpr
):
    """Add up the sums of all spans."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((SUMS, CHANNELS), tl.float32)
    along = tl.zeros((SUMS, CHANNELS), tl.float32)
    for start in range(0, parts, SUMS):
        p = start + tl.arange(0, SUMS)
        inside = (p < parts)[:, None] & (c < C)[None, :]
        total += tl.load(sums + p[:, None] * C + c[None, :], mask=inside, other=0.0)
        along += tl.load(scaled + p[:, None] * C + c[None, :], mask=inside, other=0.0)
    tl.store(by_bias + c, tl.sum(total, 0), mask=c < C)
    tl.store(by_weight + c, tl.sum(along, 0), mask=c < C)


@triton.jit
def by_map(
    given,
    x,
    weight,
    bias,
    mean,
    rstd,
    by_bias,
    by_weight,
    by_x,
    M,
    C,
    THROUGH: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write w·r·(G − ⟨G⟩ − x̂⟨G·x̂⟩); G has come THROUGH the ReLU already, or comes now."""
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    m = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    inside = (m < M)[:, None] & (c < C)[None, :]
    place = m.to(tl.int64)[:, None] * C + c[None, :]
    mean_C, rstd_C = tl.load(mean + c, mask=c < C), tl.load(rstd + c, mask=c < C)
    factor = tl.load(weight + c, mask=c < C) * rstd_C
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    G = tl.load(given + place, mask=inside, other=0.0).to(tl.float32)
    if not THROUGH:
        shift = tl.load(bias + c, mask=c < C) - mean_C * factor
        G = tl.where(value * factor[None, :] + shift[None, :] <= 0, 0.0, G)
    mean_G = tl.load(by_bias + c, mask=c < C) / M
    along_G = tl.load(by_weight + c, mask=c < C) / M
    hat = (value - mean_C[None, :]) * rstd_C[None, :]
    found = factor[None, :] * (G - mean_G[None, :] - hat * along_G[None, :])
    tl.store(by_x + place, found.to(by_x.dtype.element_ty), mask=inside)
