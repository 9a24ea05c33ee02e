"""Meta-gradients: an outer loss differentiated through the steps of an inner loop."""

from taskdiscovery.metagrad.composed import FunctionStep, Parallel
from taskdiscovery.metagrad.engine import MEMORY, MODES, metagrad
from taskdiscovery.metagrad.estimate import Estimate, estimate
from taskdiscovery.metagrad.flat import Layout
from taskdiscovery.metagrad.gradient import GradientStep
from taskdiscovery.metagrad.outer import MetaGradient
from taskdiscovery.metagrad.rules import SGD, Adam, Rule, State, Tree
from taskdiscovery.metagrad.steps import Step

__all__ = [
    "MEMORY",
    "MODES",
    "SGD",
    "Adam",
    "Estimate",
    "FunctionStep",
    "GradientStep",
    "Layout",
    "MetaGradient",
    "Parallel",
    "Rule",
    "State",
    "Step",
    "Tree",
    "estimate",
    "metagrad",
]
