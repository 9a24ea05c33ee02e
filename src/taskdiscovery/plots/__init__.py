"""Figures of values, drawn with matplotlib from plain numbers; the values' `.plot()` calls these.

Every function takes the axes to draw on, or makes its own, and returns them. Matplotlib is an
optional package (`pip install 'taskdiscovery[plot]'`), imported when the first figure is drawn.
"""

from taskdiscovery.plots.course import draw_course
from taskdiscovery.plots.matrix import draw_matrix
from taskdiscovery.plots.ranges import Row, draw_ranges
from taskdiscovery.plots.shares import draw_shares
from taskdiscovery.plots.sheet import Strip, draw_sheet

__all__ = ["Row", "Strip", "draw_course", "draw_matrix", "draw_ranges", "draw_shares", "draw_sheet"]
