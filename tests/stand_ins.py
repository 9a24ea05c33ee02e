"""Modules that stand in for timm, torchvision and onnxruntime, which few machines have."""

import importlib
import sys
from types import ModuleType

TIMM = """
from torch import nn

CFG = {"input_size": (3, 16, 16), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.25),
       "crop_pct": 0.8, "interpolation": "bicubic", "classifier": "fc"}

class Little(nn.Module):
    def __init__(self, num_classes, in_chans):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_chans, 4, 3, 2), nn.BatchNorm2d(4))
        self.blocks = nn.Sequential(*(self.block() for _ in range(3)))
        self.norm = nn.BatchNorm1d(4)
        self.fc = nn.Linear(4, num_classes) if num_classes else nn.Identity()
        self.pretrained_cfg = CFG

    def block(self):
        return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                             nn.Dropout(0.5))

    def forward(self, x):
        return self.fc(self.norm(self.blocks(self.stem(x)).mean((2, 3))))

def list_models():
    return ["little", "silent"]

def create_model(name, pretrained, num_classes=1000, in_chans=3):
    assert not pretrained
    model = Little(num_classes, in_chans)
    if name == "silent":
        model.pretrained_cfg = {}
    return model
"""

TORCHVISION = """
from types import SimpleNamespace
from torch import nn

class Small(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 6, 3)))
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))

def get_model(name, weights, **arguments):
    if name != "small":
        raise ValueError(f"Unknown model {name}")
    return Small(**arguments)

def get_model_weights(name):
    shown = SimpleNamespace(crop_size=[12], resize_size=[16], mean=[0.5, 0.5, 0.5],
                            std=[0.2, 0.2, 0.2], interpolation=SimpleNamespace(value="bilinear"))
    return SimpleNamespace(DEFAULT=SimpleNamespace(transforms=lambda: shown))

models = SimpleNamespace(get_model=get_model, get_model_weights=get_model_weights)
"""

ONNXRUNTIME = """
import json
from types import SimpleNamespace
import numpy as np

SessionOptions = SimpleNamespace
get_available_providers = lambda: ["CPUExecutionProvider"]

class InferenceSession:
    def __init__(self, path, options, providers):
        with open(path) as stream:
            self.said = json.load(stream)

    def get_inputs(self):
        return [SimpleNamespace(name="x", shape=self.said["shape"], type=self.said["type"])]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in self.said["outputs"]]

    def run(self, names, feeds):
        x = feeds["x"]
        fixed = self.said["shape"][0]
        assert not isinstance(fixed, int) or len(x) == fixed, "another batch"
        assert str(x.dtype) == {"tensor(float)": "float32", "tensor(uint8)": "uint8"}[
            self.said["type"]]
        axes = (2, 3) if self.said["layout"] == "NCHW" else (1, 2)
        means = x.astype(np.float32).mean(axis=axes)
        found = {"means": means, "tokens": np.stack([means, -means], axis=1),
                 "map": means[:, :, None, None] + np.arange(4.0).reshape(1, 1, 2, 2)}
        return [found[name] for name in names]
"""


def install(folder, monkeypatch, **modules):
    """Put modules where they are imported from, for one test."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # forgotten when the test ends
        del sys.modules[name]
    monkeypatch.syspath_prepend(folder)
    for name in modules:
        importlib.import_module(name)
