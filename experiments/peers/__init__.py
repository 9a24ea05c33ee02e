"""Other ways to find labelings in frozen features, on the same images: what people do today.

All but TURTLE see what `pursuit` sees: features of length 1, standardized, and reduced to 384
principal components, all on the images that discovery may see.
"""

from experiments.peers.table import PEERS, Found, Table

__all__ = ["PEERS", "Found", "Table"]
