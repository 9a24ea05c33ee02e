"""Networks as users write them: some are one and the same in other words, some cannot be used."""

import functools
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Plain(nn.Module):
    """Convolution, pooling, one hidden layer; the others are this network, written otherwise."""

    def __init__(self, outputs, image_shape):
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 8, 3, 2, 1)
        self.hidden = nn.Linear(32, 16)
        self.head = nn.Linear(16, outputs)

    def seen(self, x):
        x = F.adaptive_avg_pool2d(torch.relu(self.conv(x)), 2).flatten(1)
        return torch.tanh(self.hidden(x))

    def forward(self, x):
        return self.head(self.seen(x))


class InATuple(Plain):
    def forward(self, x):
        seen = self.seen(x)
        return self.head(seen), seen


class InAList(Plain):
    def forward(self, x):
        return [self.head(self.seen(x)), None]


class InADict(Plain):
    def forward(self, x):
        seen = self.seen(x)
        return {"features": seen, "answer": self.head(seen)}


class InANamedDict(Plain):
    def forward(self, x):
        answer = self.head(self.seen(x))
        return {"aux": 2 * answer, "out": answer}


class InAnObject(Plain):
    def forward(self, x):
        return SimpleNamespace(loss=None, logits=self.head(self.seen(x)))


class AuxInTraining(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.aux = nn.Linear(32, outputs)

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        maps = F.adaptive_avg_pool2d(self.conv(x), 2).flatten(1)
        return super().forward(x), self.aux(maps)


class UnusedLast(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.never = nn.Linear(7, outputs)


class WithAxesOfOne(Plain):
    def forward(self, x):
        return super().forward(x)[:, :, None, None]


class Squeezed(Plain):
    def forward(self, x):
        return super().forward(x).squeeze()


class Viewed(nn.Module):
    """As LeNet is often written: channels-last maps cannot be viewed so."""

    def __init__(self, outputs, image_shape):
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 6, 5)
        self.head = nn.Linear(6 * 4 * 4, outputs)

    def forward(self, x):
        return self.head(F.max_pool2d(F.relu(self.conv(x)), 2).view(-1, 6 * 4 * 4))


class Reshaped(Viewed):
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x.contiguous())), 2)
        return self.head(x.reshape(-1, 6 * 4 * 4))


class ViewsPixels(nn.Module):
    def __init__(self, outputs, image_shape):
        super().__init__()
        self.head = nn.Linear(int(np.prod(image_shape)), outputs)

    def forward(self, x):
        return self.head(x.view(x.size(0), -1))


class FlattensPixels(ViewsPixels):
    def forward(self, x):
        return self.head(x.flatten(1))


def lazy(outputs, image_shape):
    layers = [nn.LazyConv2d(8, 3, 2), nn.ReLU(), nn.LazyBatchNorm2d(), nn.Flatten()]
    return nn.Sequential(*layers, nn.LazyLinear(outputs))


def not_lazy(outputs, image_shape):
    layers = [nn.Conv2d(image_shape[2], 8, 3, 2), nn.ReLU(), nn.BatchNorm2d(8), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8 * 5 * 5, outputs))


class Tied(nn.Module):
    def __init__(self, outputs, image_shape):
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 8, 3, 2, 1)
        self.first = nn.Linear(32, 32, bias=False)
        self.second = nn.Linear(32, 32, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Linear(32, outputs)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(torch.relu(self.conv(x)), 2).flatten(1)
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


class AskedTwice(Tied):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.second = self.first


class Wants(nn.Module):
    """Written for images of one shape."""

    side, channels = 224, 3

    def __init__(self, outputs):
        super().__init__()
        self.conv = nn.Conv2d(self.channels, 4, 7, 4)
        self.head = nn.Linear(4 * ((self.side - 7) // 4 + 1) ** 2, outputs)

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))


class WantsGrey(Wants):
    side, channels = 12, 1


class WantsBigGrey(Wants):
    side, channels = 28, 1


class Broken(Plain):
    def forward(self, x):
        return super().forward(x) + self.absent


class WrongOutputs(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs + 5, image_shape)


class FeaturesFirst(Plain):
    def forward(self, x):
        seen = self.seen(x)
        return seen, self.head(seen)


class Classes(Plain):
    def forward(self, x):
        return super().forward(x).argmax(1)


class Detached(Plain):
    def forward(self, x):
        return super().forward(x).detach()


class InNumPy(Plain):
    def forward(self, x):
        return super().forward(x).detach().numpy()


class NoParameters(nn.Module):
    def __init__(self, outputs, image_shape):
        super().__init__()
        self.outputs = outputs

    def forward(self, x):
        return x.flatten(1)[:, : self.outputs]


class Frozen(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.requires_grad_(False)


class MoreArguments(Plain):
    def __init__(self, outputs, image_shape, depth):
        super().__init__(outputs, image_shape)


class MoreInputs(Plain):
    def forward(self, x, mask):
        return super().forward(x)


class NotFinite(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        nn.init.constant_(self.hidden.weight, float("nan"))


class DividesByZero(Plain):
    def forward(self, x):
        return super().forward(x) / x[:, :1, 0, 0].sub(x[:, :1, 0, 0])


class BigBatches(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.norm = nn.BatchNorm1d(32)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.conv(x), 2).flatten(1)
        return self.head(torch.tanh(self.hidden(self.norm(x.view(-1, 64, 16).mean(2)))))


class BatchStatistics(nn.Module):
    def __init__(self, outputs, image_shape):
        super().__init__()
        self.conv = nn.Conv2d(image_shape[2], 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)
        self.head = nn.Linear(8, outputs)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class AlwaysDrops(Plain):
    def forward(self, x):
        return self.head(F.dropout(self.seen(x)))


class NotSaved(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.turn = torch.randn(16, 16)

    def forward(self, x):
        return self.head(self.seen(x) @ self.turn)


class Masked(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.register_buffer("mask", torch.full((3,), -torch.inf))


class OwnState(Plain):
    def get_extra_state(self):
        return {"epoch": 3}

    def set_extra_state(self, state):
        pass


class NeverLazy(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.never = nn.LazyLinear(outputs)


class Bounded(Plain):
    def forward(self, x):
        return torch.tanh(super().forward(x))


class DoubledInPlace(Plain):
    def forward(self, x):
        return super().forward(x).mul_(2)


class WeightNormed(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        nn.utils.parametrizations.weight_norm(self.head)


class Half(Plain):
    def __init__(self, outputs, image_shape):
        super().__init__(outputs, image_shape)
        self.double()


@functools.cache
def one(outputs, image_shape):
    return Plain(outputs, image_shape)


def raises(outputs, image_shape):
    raise AssertionError("no GPU, no network")


def no_module(outputs, image_shape):
    return Plain
