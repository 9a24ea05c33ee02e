"""Discovery by meta-gradient: the published method, complete."""

from taskdiscovery.discovery.meta.embedding import (
    Embedding,
    Pixels,
    Table,
    begin_with,
    load_backbone,
    require_linear_head,
)
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.discovery.meta.plan import choose_way
from taskdiscovery.discovery.meta.search import MetaSearch, summary

__all__ = [
    "Embedding",
    "Inner",
    "MetaSearch",
    "Pixels",
    "Table",
    "begin_with",
    "choose_way",
    "load_backbone",
    "require_linear_head",
    "summary",
]
