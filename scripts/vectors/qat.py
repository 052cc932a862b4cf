"""Makes qat.safetensors: losses, scales, zero points and statistics over 50 steps of torch's quantization-aware training.

Parameters and batches are not stored: both sides make them, by `start_value` and from Examples/Data/digits.npz."""

import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.ao.quantization import (
    FakeQuantize, MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver, QConfig, QConfigMapping,
    disable_observer,
)
from torch.ao.quantization.quantize_fx import prepare_qat_fx

from common import Family, split_mix

STEPS, BATCH, FROZEN_AFTER = 50, 256, 30

family = Family("qat")
digits = np.load(os.path.join(os.path.dirname(__file__), "../../Examples/Data/digits.npz"))
# (Squares: pixels of 8 out of 16 would lie between two integers.)
images = torch.from_numpy((digits["images"].reshape(-1, 1, 8, 8).astype(np.float32) / 16) ** 2)
labels = torch.from_numpy(digits["labels"].astype(np.int64))

QCONFIG = QConfig(
    activation=FakeQuantize.with_args(
        observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=torch.quint8, qscheme=torch.per_tensor_affine),
    weight=FakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric, ch_axis=0))


def start_value(count, seed):
    """Numbers in −0.5..<0.5."""
    return ((split_mix(seed, count) >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5).astype(np.float32)


class Tutorial(nn.Module):
    """The network of PyTorch's MNIST example for images of 8 × 8, without dropout."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(256, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class Normalized(nn.Module):
    """Batch normalization behind convolutions with and without bias, in groups, and behind a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 12, 3, stride=2, groups=2), nn.BatchNorm2d(12)
        self.fc1, self.bn3 = nn.Linear(108, 16), nn.BatchNorm1d(16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return self.fc2(self.bn3(self.fc1(torch.flatten(x, 1))))


def start(model):
    with torch.no_grad():
        for seed, (name, parameter) in enumerate(model.named_parameters()):
            value = torch.from_numpy(start_value(parameter.numel(), seed)).reshape(parameter.shape)
            fan = parameter[0].numel() if parameter.dim() > 1 else 1
            is_scale = "bn" in name and name.endswith("weight")
            # (Some factors of the normalization are below 0.)
            parameter.copy_(value * 4 / fan**0.5 if parameter.dim() > 1 else value * 2 + 0.5 if is_scale else value * 0.2)


def train(case, model, rate):
    start(model)
    model.train()
    model = prepare_qat_fx(model, QConfigMapping().set_global(QCONFIG), (images[:1],))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0)
    losses = []
    sites = [(name, module) for name, module in model.named_modules() if isinstance(module, FakeQuantize)]
    for step in range(STEPS):
        if step == FROZEN_AFTER and case == "normalized":
            model.apply(disable_observer)
            model.apply(torch.ao.nn.intrinsic.qat.freeze_bn_stats)
        rows = [(step * BATCH + row) % 1297 for row in range(BATCH)]
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    fields = {"losses": torch.tensor(losses)}
    for name, module in sites:
        fields[f"{name}.scale"] = module.scale.clone().reshape(-1)
        fields[f"{name}.zero"] = module.zero_point.to(torch.int64).clone().reshape(-1)
    for name, value in model.state_dict().items():
        if "running" in name or name.endswith("bias"):
            fields[f"end.{name}"] = value.clone()
    family.add(case, {"rate": rate, "steps": STEPS, "batch": BATCH}, fields)


if __name__ == "__main__":
    train("tutorial", Tutorial(), 0.01)
    train("normalized", Normalized(), 0.01)
    family.write()
