"""The vision transformer of the paper, with batch norm in place of layer norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ViT(nn.Module):
    """Patches of 4, dim 256, depth 6, six heads of 64, MLP dim 256; a class token is read out.

    Args:
        image_shape: (H, W, channels); images are padded up to whole patches.
        outputs: number of outputs.
        width: factor on dim, heads and MLP dim.
        patch: side of a patch in pixels; larger images want larger ones.
        depth: number of blocks.

    Source: Dosovitskiy et al., ICLR 2021; sizes as published in Atanov et al. 2022.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        outputs: int,
        *,
        width: float = 1.0,
        patch: int = 4,
        depth: int = 6,
    ) -> None:
        super().__init__()
        height, columns, channels = image_shape
        dim, heads = max(8, round(256 * width)), max(1, round(6 * width))
        tokens = -(-height // patch) * -(-columns // patch)
        self.pad = (0, -columns % patch, 0, -height % patch)
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        self.position = nn.Parameter(torch.randn(1, tokens + 1, dim) * 0.02)
        self.token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.blocks = nn.Sequential(*(_Block(dim, heads) for _ in range(depth)))
        self.norm = _TokenNorm(dim)
        self.head = nn.Linear(dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, outputs)."""
        patches = self.embed(F.pad(x, self.pad)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.position
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, head_dim: int = 64) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = _TokenNorm(dim)
        self.qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.project = nn.Linear(heads * head_dim, dim)
        self.mlp_norm = _TokenNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        N, T, _ = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(N, T, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = x + self.project(attended.transpose(1, 2).reshape(N, T, -1))
        return x + self.mlp(self.mlp_norm(x))


class _TokenNorm(nn.BatchNorm1d):
    """Batch norm over images and tokens alike."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, 1)).view_as(input)
