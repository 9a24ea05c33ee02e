"""How much memory a device has left for us."""

from __future__ import annotations

import os

import torch

from taskdiscovery.runtime import hardware


def available_memory(device: torch.device | str) -> int:
    """Return the bytes that are free on a device now, for this process.

    On a GPU that is what its driver has left, and what torch has taken from it and does not use.
    """
    device = torch.device(device)
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0])
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + max(0, int(unused))
    free = hardware.free_memory(0)
    # Where the system does not say: count on half of the memory.
    return free or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
