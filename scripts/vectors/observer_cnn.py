"""Makes observer_cnn.safetensors: a small CNN with observers called by hand, fed with ten batches of noise.

Conv2d 3→16, ReLU, Conv2d 16→32, ReLU, AdaptiveAvgPool2d 1, flatten, Linear 32→10; a MinMaxObserver (uint8) after each
ReLU and before the Linear, a PerChannelMinMaxObserver (int8, axis 0) on each weight. The noise is stored in a quarter of
the space: the network's input is `x` / 64. The network runs in float64; what observers see is rounded to float32.
"""

import copy

import torch
from torch import nn
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver

from common import Family, initialize, numbers, state

family = Family("observer_cnn")


class ObserverCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc = nn.Linear(32, 10)

    def forward(self, x, observe):
        x = observe("act1", self.conv1(x).relu())
        x = observe("act2", self.conv2(x).relu())
        x = observe("fc_input", nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return self.fc(x)


def main():
    source = numbers("observer_cnn")
    network = initialize(ObserverCNN(), source)
    noise = source.standard_normal((10, 8, 3, 32, 32)) * 64
    x = torch.from_numpy(noise.round().clip(-127, 127)).to(torch.int8)
    observers = {name: MinMaxObserver(dtype=torch.quint8) for name in ["act1", "act2", "fc_input"]}
    y = feed(network, x, observers)
    for name in ["conv1", "conv2", "fc"]:
        observers[f"{name}.weight"] = PerChannelMinMaxObserver(ch_axis=0, dtype=torch.qint8)
        observers[f"{name}.weight"](network.get_submodule(name).weight)
    attributes = {
        "input_divisor": 64,
        "note": "the network's input is float(x) / 64; y is the output of the last batch; all observers are affine",
        "activation_observers": ["act1", "act2", "fc_input"],
        "weight_observers": ["conv1.weight", "conv2.weight", "fc.weight"],
    }
    family.add("observer_cnn", attributes, {**state(network), "x": x, "y": y, **findings(observers)})
    family.write()


def feed(network, x, observers):
    def observe(name, value):
        observers[name](value.float())
        return value

    with torch.no_grad():
        double = copy.deepcopy(network).double()
        for batch in x:
            y = double(batch.double() / 64, observe)
    return y.float()


def findings(observers):
    fields = {}
    for name, observer in observers.items():
        scale, zero_point = observer.calculate_qparams()
        fields[f"observers/{name}/min_val"] = observer.min_val.reshape(-1)
        fields[f"observers/{name}/max_val"] = observer.max_val.reshape(-1)
        fields[f"observers/{name}/scale"] = scale
        fields[f"observers/{name}/zero_point"] = zero_point.to(torch.int32)
    return fields


main()
