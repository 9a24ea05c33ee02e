"""Figures as inline SVG, drawn from numbers alone; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from taskdiscovery.types import FloatArray

_LEFT, _WIDTH = 150, 760
#: where the figure of a row begins, or ends where it is two.
_MEAN, _ENDS = f'x="{_WIDTH - 62}"', f'x="{_WIDTH - 1}" text-anchor="end"'
#: height of a line of names, and the width of a letter with room on either side.
_LINE, _LETTER = 14, 7.0


def intervals(
    rows: Sequence[Mapping[str, Any]],
    *,
    low: float,
    references: Mapping[str, float] | None = None,
    label: str,
) -> Markup:
    """Draw a dot and an interval per row on an axis from `low` to 1.

    Args:
        rows: each with `name`, `mean`, `low`, `high`, and optionally `kind`, a style class. One
            without a mean (None) has no dot, and both of its ends are written.
        low: where the axis begins.
        references: values with names, drawn as vertical lines.
        label: what the figure shows, for screen readers.
    """
    references = references or {}
    step = 22
    span = _WIDTH - _LEFT - 70

    def x(value: float) -> float:
        return round(_LEFT + span * (min(max(value, low), 1.0) - low) / (1 - low), 1)

    texts = [f"{name} {value:.2f}" for name, value in references.items()]
    lines = _lines([x(value) for value in references.values()], texts)
    top = 30 + _LINE * max(lines, default=0)
    height = top + step * len(rows) + 30
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" class="figure" '
        f'aria-label="{escape(label)}">'
    ]
    ticks = np.linspace(low, 1.0, 6)
    for tick in ticks:
        parts.append(
            f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{top - 8}" '
            f'y2="{height - 26}"/><text class="tick" x="{x(tick)}" y="{height - 10}" '
            f'text-anchor="middle">{tick:.1f}</text>'
        )
    for i, (value, text, line) in enumerate(zip(references.values(), texts, lines, strict=True)):
        parts.append(
            f'<line class="reference r{i}" x1="{x(value)}" x2="{x(value)}" y1="{top - 8}" '
            f'y2="{height - 26}"/><text class="reference-name r{i}" x="{x(value)}" '
            f'y="{14 + _LINE * line}" text-anchor="middle">{escape(text)}</text>'
        )
    for i, row in enumerate(rows):
        y = top + step * i + 8
        kind, mean = escape(str(row.get("kind", ""))), row["mean"]
        dot, text, place = "", f"{row['low']:.2f}–{row['high']:.2f}", _ENDS
        if mean is not None:
            dot, text, place = f'<circle cx="{x(mean)}" cy="{y}" r="5"/>', f"{mean:.3f}", _MEAN
        parts.append(
            f'<g class="interval {kind}"><text class="name" x="{_LEFT - 12}" y="{y + 4}" '
            f'text-anchor="end">{escape(_short(str(row["name"])))}</text>'
            f'<line x1="{x(row["low"])}" x2="{x(row["high"])}" y1="{y}" y2="{y}"/>'
            f'{dot}<text class="value" {place} y="{y + 4}">{text}</text></g>'
        )
    parts.append("</svg>")
    return Markup("".join(parts))


def _lines(places: Sequence[float], texts: Sequence[str]) -> list[int]:
    """Put texts that are centred at places on lines, so that none is written over another.

    Returns:
        The line of each, from the uppermost.
    """
    taken: list[list[tuple[float, float]]] = []
    found = []
    for place, text in zip(places, texts, strict=True):
        half = _LETTER * len(text) / 2
        begin, end = place - half, place + half
        free = (
            line
            for line, others in enumerate(taken)
            if all(end < left or begin > right for left, right in others)
        )
        line = next(free, len(taken))
        if line == len(taken):
            taken.append([])
        taken[line].append((begin, end))
        found.append(line)
    return found


def heatmap(matrix_DD: FloatArray, names: Sequence[str], label: str) -> Markup:
    """Draw similarities from 0.5 (unrelated) to 1 (the same) as shaded squares."""
    D = len(names)
    side = max(10, min(28, 520 // max(D, 1)))
    size = D * side
    least = float(matrix_DD.min())
    parts = [
        f'<svg viewBox="0 0 {size} {size}" role="img" class="figure heat" '
        f'style="max-width:{size}px" aria-label="{escape(label)}">'
    ]
    for i in range(D):
        for j in range(D):
            shade = (matrix_DD[i, j] - least) / max(1 - least, 1e-9)
            parts.append(
                f'<rect x="{j * side}" y="{i * side}" width="{side - 1}" height="{side - 1}" '
                f'style="fill-opacity:{0.06 + 0.94 * shade:.3f}"><title>{escape(names[i])} and '
                f"{escape(names[j])}: {matrix_DD[i, j]:.3f}</title></rect>"
            )
    parts.append("</svg>")
    return Markup("".join(parts))


def _short(name: str, limit: int = 21) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
