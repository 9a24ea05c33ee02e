"""The state of a network as a file takes it."""

from __future__ import annotations

from torch import Tensor, nn


def unshared(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the state, on the CPU and contiguous, no two in the same memory.

    Weights that are tied stand there under each of their names; loading ties them again, since each
    name is copied into the one tensor.
    """
    tensors: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in model.state_dict().items():
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        tensors[name] = own.clone() if place in taken else own
        taken.add(place)
    return tensors
