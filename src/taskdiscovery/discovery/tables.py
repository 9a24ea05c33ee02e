"""Features made ready for a search: reduced, in random blocks, free of what is excluded.

Axes: N training images, P features, R reduced features, D tasks, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery.data.partition import codes
from taskdiscovery.discovery.blocks import Blocks, centre, drawn, reduced
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.discovery.ridge_options import RidgeOptions
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.features.products_torch import products_on
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Document, FloatArray, IntArray

BLOCKS = 10
#: blocks that two parts and a third, or two halves of two each, can be made of.
_FEWEST = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """A problem on features, made ready.

    Attributes:
        problem: its rows, and what its constraints say of them, are in the order of the table.
        reduction: from features to the columns of the table.
        blocks: the table, centred, and its Gram matrices.
        means_R: of the columns, before they were centred.
    """

    problem: Problem
    reduction: Reduction
    blocks: Blocks
    means_R: FloatArray

    @classmethod
    def of(cls, problem: Problem, options: RidgeOptions, *, folds: int = 2) -> Prepared:
        """Reduce the features of the training images, walking through them three times at most.

        Args:
            problem: with features; its rows rise.
            options: how many components, and the strength of the ridges.
            folds: blocks are at least as many.

        Raises:
            ConfigError: where what is excluded leaves no component.
        """
        assert problem.features is not None
        rows, excluded_NE = problem.rows, problem.constraints.excluded
        products = products_on(problem.workbench.learner.device)
        reduction = Reduction.measure(problem.features, rows, options.components, products)
        if excluded_NE is not None:
            groups_N = problem.constraints.groups
            reduction = reduction.free_of(problem.features, rows, excluded_NE, groups_N, products)
        count = max(BLOCKS, folds)
        groups = problem.workbench.dataset.groups
        own_groups = None if groups is None else groups[rows]
        if own_groups is not None:  # one block a group where there are few of them
            count = max(min(count, int(codes(own_groups).max()) + 1), folds, _FEWEST)
        parts = drawn(len(rows), count, generator(problem.seed, "blocks"), own_groups)
        order_N = np.concatenate(parts)
        own = replace(problem, rows=rows[order_N], constraints=problem.constraints.of_rows(order_N))
        table_NR = reduced(problem.features, own.rows, reduction, products)
        means_R = centre(table_NR)[0]
        sizes, strength = [len(part) for part in parts], options.strength(problem.classes)
        blocks = Blocks(table_NR, sizes, strength, products)
        return cls(problem=own, reduction=reduction, blocks=blocks, means_R=means_R)

    def some(self, count: int) -> Prepared:
        """Return the same of a sample of the rows, in memory, as many from each block."""
        N = len(self.problem.rows)
        if count >= N:
            return self
        places = np.linspace(0, N - 1, count).astype(np.int64)
        problem = replace(
            self.problem,
            rows=self.problem.rows[places],
            constraints=self.problem.constraints.of_rows(places),
        )
        table_NR = np.array(self.blocks.table_NR[places])
        centre(table_NR)
        sizes: int | list[int] = len(self.blocks.places)
        if problem.workbench.dataset.groups is not None:  # the same ones, whatever their sizes
            bounds = np.cumsum([0, *self.blocks.sizes])
            sizes = np.diff(np.searchsorted(places, bounds)).tolist()
        blocks = Blocks(table_NR, sizes, self.blocks.strength, self.blocks.products)
        return replace(self, problem=problem, blocks=blocks)

    def within(self, groups_N: IntArray | None) -> Prepared:
        """Return the same, centred inside each of some groups of the rows."""
        if groups_N is None:
            return self
        table_NR = np.array(self.blocks.table_NR)
        centre(table_NR, groups_N)
        own = self.blocks
        blocks = Blocks(table_NR, own.sizes, own.strength, own.products)
        return replace(self, blocks=blocks)

    def encoder(
        self,
        weights_RC: FloatArray,
        offset_C: FloatArray,
        classes: int = 2,
        class_offsets_DC: FloatArray | None = None,
    ) -> FeatureEncoder:
        """Return the encoder of coordinates that are linear in the table.

        Args:
            weights_RC: what a row of the table is multiplied by, for each coordinate.
            offset_C: subtracted from the products.
            classes: of each task.
            class_offsets_DC: added to the class scores, where there are more than two.
        """
        weights_PC = self.reduction.matrix_PR @ weights_RC
        tasks = weights_RC.shape[1] // (classes - 1)
        return FeatureEncoder(
            names=tuple(f"task_{d:03d}" for d in range(tasks)),
            weights_PD=weights_PC,
            offset_D=self.reduction.mean_P @ weights_PC + self.means_R @ weights_RC + offset_C,
            backbone=self.problem.workbench.dataset.backbone,
            classes=classes,
            class_offsets_DC=class_offsets_DC,
        )

    def described(self) -> Document:
        """Return what `result.json` says of the features."""
        backbone = self.problem.workbench.dataset.backbone
        return {
            "width": len(self.reduction.mean_P),
            "backbone": None if backbone is None else backbone.to_json(),
        }
