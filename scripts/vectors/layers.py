"""Makes layers.safetensors: little networks with their state dicts, and what torch's fusing of batch normalization gives.

Outputs `y` are computed by torch in float64 and rounded once. The folded weights are float32 arithmetic of
torch.nn.utils.fusion (fuse_conv_bn_eval, fuse_linear_bn_eval).
"""

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from common import Family, exact_network, initialize, normal, numbers, state

family = Family("layers")


class Residual(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + downsample(x))"""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class FmnistCNN(nn.Module):
    """The network of the Fashion-MNIST example with 4, 6 and 8 channels on 8 × 8 pixels instead of 16, 32, 64 on 28 × 28."""

    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.l1 = nn.Linear(32, 12)
        self.l2 = nn.Linear(12, 10)

    def forward(self, x):
        return self.l2(torch.relu(self.l1(self.f(x).flatten(1))))


def main():
    add_network(
        "conv_bn_relu",
        "Sequential: Conv2d(3→4, 3×3, padding 1), BatchNorm2d, ReLU, Conv2d(4→5, 3×3, stride 2, no bias), BatchNorm2d, ReLU",
        nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 5, 3, stride=2, bias=False), nn.BatchNorm2d(5), nn.ReLU(),
        ),
        (2, 3, 6, 7),
    )
    add_network(
        "mlp",
        "Sequential: Linear(6→8), ReLU, Dropout(0.5, evaluation: the identity), Linear(8→4)",
        nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)),
        (3, 6),
    )
    for name, inputs, outputs, stride in [("residual", 3, 4, 1), ("residual_strided", 4, 6, 2)]:
        topology = (
            f"relu(bn2(conv2(relu(bn1(conv1(x))))) + downsample(x)); conv1 {inputs}→{outputs} 3×3 stride {stride} padding 1, conv2 "
            f"{outputs}→{outputs} 3×3 padding 1, downsample.0 {inputs}→{outputs} 1×1 stride {stride}, downsample.1 BatchNorm2d; no biases"
        )
        add_network(name, topology, Residual(inputs, outputs, stride), (2, inputs, 6, 5), stride=stride)
    topology = (
        "f.0 Conv2d 1→4, f.1 BN, ReLU, f.3 Conv2d 4→6, f.4 BN, ReLU, MaxPool 2, f.7 Conv2d 6→8, f.8 BN, ReLU, MaxPool 2, "
        "flatten, l1 Linear 32→12, ReLU, l2 Linear 12→10; convolutions 3×3, padding 1, no bias; the state has no num_batches_tracked"
    )
    add_network("fmnist_cnn", topology, FmnistCNN(), (2, 1, 8, 8))
    attention_layers()
    folded_convolutions()
    folded_linears()
    family.write()


def add_network(case, topology, network, input_shape, **attributes):
    source = numbers(case)
    initialize(network, source)
    x = normal(source, *input_shape)
    fields = {**state(network), "x": x, "y": exact_network(network, x)}
    if case == "fmnist_cnn":
        fields = {name: tensor for name, tensor in fields.items() if not name.endswith("num_batches_tracked")}
    family.add(case, {"kind": "network", "topology": topology, **attributes}, fields)


def attention_layers():
    """MultiheadAttention and TransformerEncoderLayer with the batch first, in evaluation mode."""
    for name, has_bias, mask in [("self", True, None), ("no_bias_causal", False, "causal")]:
        case = f"attention_{name}"
        source = numbers(case)
        layer = initialize(nn.MultiheadAttention(8, 2, bias=has_bias, batch_first=True), source)
        x = normal(source, 2, 5, 8)
        hidden = torch.triu(torch.ones(5, 5), 1).bool() if mask else None
        y = layer.double()(x.double(), x.double(), x.double(), need_weights=False, attn_mask=hidden)[0].float()
        # torch's mask says what is kept out, as its scaled_dot_product_attention does not.
        fields = {**state(layer.float()), "x": x, "y": y} | ({"mask": ~hidden} if mask else {})
        family.add(case, {"kind": "attention", "bias": has_bias}, fields)
    source = numbers("attention_cross")
    layer = initialize(nn.MultiheadAttention(6, 3, batch_first=True), source)
    q, k, v = normal(source, 2, 3, 6), normal(source, 2, 4, 6), normal(source, 2, 4, 6)
    y = layer.double()(q.double(), k.double(), v.double(), need_weights=False)[0].float()
    family.add("attention_cross", {"kind": "attention_cross"}, {**state(layer.float()), "q": q, "k": k, "v": v, "y": y})
    for name, activation, norm_first in [("relu", "relu", False), ("gelu_norm_first", "gelu", True)]:
        case = f"encoder_{name}"
        source = numbers(case)
        layer = initialize(nn.TransformerEncoderLayer(8, 2, 12, activation=activation, batch_first=True, norm_first=norm_first), source)
        x = normal(source, 2, 4, 8)
        fields = {**state(layer), "x": x, "y": exact_network(layer, x)}
        family.add(case, {"kind": "encoder", "activation": activation, "norm_first": norm_first}, fields)


def folded_convolutions():
    for name, convolution in [
        ("conv", nn.Conv2d(3, 4, 3, padding=1)),
        ("conv_no_bias", nn.Conv2d(3, 4, 3, padding=1, bias=False)),
        ("conv_groups_strided", nn.Conv2d(4, 6, 3, stride=2, groups=2)),
        ("conv_depthwise", nn.Conv2d(5, 5, 3, padding=1, groups=5, bias=False)),
    ]:
        attributes = {
            "kind": "folded_conv", "stride": list(convolution.stride), "padding": list(convolution.padding),
            "groups": convolution.groups, "bias": convolution.bias is not None,
        }
        norm = nn.BatchNorm2d(convolution.out_channels)
        add_folded(f"fold_{name}", attributes, convolution, norm, fuse_conv_bn_eval, (2, convolution.in_channels, 5, 6))


    for name, convolution, shape in [
        ("conv1d", nn.Conv1d(3, 4, 3, padding=1), (2, 3, 7)),
        ("conv_transpose", nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 3, 4)),
    ]:
        attributes = {"kind": f"folded_{name}", "bias": True}
        norm = (nn.BatchNorm1d if name == "conv1d" else nn.BatchNorm2d)(convolution.out_channels)
        if name == "conv1d":
            add_folded(f"fold_{name}", attributes, convolution, norm, fuse_conv_bn_eval, shape)
        else:
            # torch folds transposed convolutions of one group only: what counts is the output.
            source = numbers(f"fold_{name}")
            network = initialize(nn.Sequential(convolution, norm), source)
            x = normal(source, *shape)
            family.add(f"fold_{name}", {**attributes, "epsilon": norm.eps}, {**state(network), "x": x, "y": exact_network(network, x)})


def folded_linears():
    for name, has_bias in [("linear", True), ("linear_no_bias", False)]:
        attributes = {"kind": "folded_linear", "bias": has_bias}
        add_folded(f"fold_{name}", attributes, nn.Linear(6, 5, bias=has_bias), nn.BatchNorm1d(5), fuse_linear_bn_eval, (3, 6))


def add_folded(case, attributes, layer, norm, fuse, input_shape):
    """State names: `0.…` the layer, `1.…` the batch normalization; `y` is their output one after the other."""
    source = numbers(case)
    network = initialize(nn.Sequential(layer, norm), source)
    x = normal(source, *input_shape)
    fused = fuse(layer, norm)
    fields = {**state(network), "folded/weight": fused.weight, "folded/bias": fused.bias, "x": x, "y": exact_network(network, x)}
    family.add(case, {**attributes, "epsilon": norm.eps}, fields)


main()
