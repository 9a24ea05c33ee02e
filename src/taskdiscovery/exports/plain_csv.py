"""`csv`: the table alone, for whatever reads tables."""

from __future__ import annotations

from taskdiscovery.exports.card import card
from taskdiscovery.exports.folder import CARD, Folder

_OPENING = """
```python
import pandas as pd

table = pd.read_csv("table.csv", dtype={"image_id": str})
```

`columns.csv` says of each column what it is.
"""


def write(folder: Folder) -> None:
    """Write `table.csv`, `columns.csv` and a card."""
    folder.write_table(folder.bare)
    folder.write(CARD, card(folder, folder.bare, _OPENING))
