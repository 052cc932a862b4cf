"""Makes networks.safetensors: the networks of Examples/Networks in PyTorch, small, with parameters, one input and its output.

Outputs are computed in float64 and rounded once.
"""

import copy

import torch
from torch import nn

from common import Family, initialize, normal, numbers, state

family = Family("networks")


class MNISTCNN(nn.Module):
    def __init__(self, size, channels, hidden, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels[0], 3)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        pooled = (size - 4) // 2
        self.fc1 = nn.Linear(channels[1] * pooled * pooled, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv2(self.conv1(x).relu()).relu(), 2)
        return self.fc2(self.dropout2(self.fc1(self.dropout1(x).flatten(1)).relu()))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class ResNet18(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        sizes = [width, width, 2 * width, 4 * width, 8 * width]
        for i in range(1, 5):
            blocks = [BasicBlock(sizes[i - 1], sizes[i], 1 if i == 1 else 2), BasicBlock(sizes[i], sizes[i], 1)]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def convolution(inputs, outputs, kernel, stride=1, groups=1):
    layer = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        up = [] if expansion == 1 else [convolution(inputs, hidden, 1)]
        down = [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*up, convolution(hidden, hidden, 3, stride, hidden), *down)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.is_residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, first, stages, last, classes):
        super().__init__()
        layers, channels = [convolution(3, first, 3, 2)], first
        for expansion, outputs, count, stride in stages:
            for index in range(count):
                layers.append(InvertedResidual(channels, outputs, stride if index == 0 else 1, expansion))
                channels = outputs
        self.features = nn.Sequential(*layers, convolution(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x):
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class UNet(nn.Module):
    def __init__(self, inputs, classes, width):
        super().__init__()

        def block(inputs, outputs):
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
                nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            )

        self.down1, self.down2, self.bottom = block(inputs, width), block(width, 2 * width), block(2 * width, 4 * width)
        self.upsample2, self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2), block(4 * width, 2 * width)
        self.upsample1, self.up1 = nn.ConvTranspose2d(2 * width, width, 2, 2), block(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        first = self.down1(x)
        second = self.down2(nn.functional.max_pool2d(first, 2))
        deepest = self.bottom(nn.functional.max_pool2d(second, 2))
        middle = self.up2(torch.cat([second, self.upsample2(deepest)], 1))
        return self.head(self.up1(torch.cat([first, self.upsample1(middle)], 1)))


class LSTMTagger(nn.Module):
    def __init__(self, vocabulary, embedding, hidden, tags):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden, tags)

    def forward(self, words):
        return self.fc(self.lstm(self.embedding(words))[0])


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 40, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def main():
    add("mnist_cnn", MNISTCNN(8, (4, 6), 16, 10), (3, 1, 8, 8))
    add("resnet18", ResNet18(4, 6), (2, 3, 32, 40))
    add("mobilenet_v2", MobileNetV2(8, [(1, 8, 1, 1), (6, 12, 2, 2), (6, 16, 2, 1)], 40, 6), (2, 3, 24, 20))
    add("unet", UNet(3, 2, 4), (2, 3, 8, 12))
    words = torch.from_numpy(numbers("words").integers(0, 20, (3, 7)))
    add("lstm_tagger", LSTMTagger(20, 8, 12, 5), words)
    add("transformer_encoder", encoder(), (2, 5, 16))
    family.write()


def add(case, network, x):
    source = numbers(case)
    initialize(network, source)
    if isinstance(x, tuple):
        x = normal(source, *x)
    y = copy.deepcopy(network).double()(x if x.dtype == torch.int64 else x.double()).float()
    tensors = {name: value for name, value in state(network).items() if not name.endswith("num_batches_tracked")}
    family.add(case, {}, {**tensors, "x": x, "y": y})


main()
