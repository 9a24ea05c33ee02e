"""Images from anywhere into one `Dataset`: one check of the input, one cache."""

from taskdiscovery.data.describe import describe
from taskdiscovery.data.labels.labelings import read_labelings, split_file_column
from taskdiscovery.data.labels.targets import target_of
from taskdiscovery.data.loading import check_spec, load
from taskdiscovery.data.readers.arrays import from_arrays, from_torch

__all__ = [
    "check_spec",
    "describe",
    "from_arrays",
    "from_torch",
    "load",
    "read_labelings",
    "split_file_column",
    "target_of",
]
