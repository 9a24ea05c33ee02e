"""What the page holds against ours: mean AS, least and greatest of the published tasks.

Preset `paper`, from the labels published with Atanov et al., NeurIPS 2022.
"""

PUBLISHED = {
    "ResNet-18, d = 32": (0.879, 0.859, 0.907),
    "ResNet-18, d = 8": (0.931, 0.884, 0.964),
    "MLP, d = 32": (0.941, 0.925, 0.962),
    "ViT, d = 32": (0.704, 0.618, 0.805),
}
