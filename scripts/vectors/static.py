"""Makes static.safetensors: a small CNN quantized by torch's FX graph mode (prepare_fx, calibrate, convert_fx).

Activations: MinMaxObserver, uint8. Weights: per channel, symmetric, int8 in [-128, 127]. Two cases:

`reduced_range`: activations in [0, 127], so that no pair of products (127 · 128 · 2 < 32,767) can saturate in int16 on any
CPU. Holds what the fbgemm kernels give (`values/…`, `y`) and what the reference model gives (`reference/…`,
`y_reference`), which computes in float between quantize and dequantize.
`full_range`: activations in [0, 255], where fbgemm would saturate on CPUs without VNNI: the reference model alone.
"""

import copy

import torch
from torch import nn
from torch.ao.quantization import QConfig, QConfigMapping
from torch.ao.quantization.observer import MinMaxObserver, ObserverBase, default_per_channel_weight_observer
from torch.ao.quantization.quantize_fx import convert_fx, convert_to_reference_fx, prepare_fx

from common import Family, initialize, normal, numbers, state

family = Family("static")

LAYERS = ["conv1", "conv2", "fc"]


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.pool(self.relu1(self.conv1(x)))
        x = self.average(self.relu2(self.conv2(x)))
        return self.fc(torch.flatten(x, 1))


def main():
    torch.backends.quantized.engine = "fbgemm"
    source = numbers("static")
    network = initialize(SmallCNN(), source)
    batches = normal(source, 4, 4, 2, 8, 8)
    x = normal(source, 4, 2, 8, 8)
    with torch.no_grad():
        add("reduced_range", network, batches, x, reduce_range=True)
        add("full_range", network, batches, x, reduce_range=False)
    family.write()


def add(case, network, batches, x, reduce_range):
    activation = MinMaxObserver.with_args(dtype=torch.quint8, reduce_range=reduce_range)
    mapping = QConfigMapping().set_global(QConfig(activation=activation, weight=default_per_channel_weight_observer))
    prepared = prepare_fx(copy.deepcopy(network), mapping, (x,))
    for batch in batches:
        prepared(batch)
    observed, fields = activation_parameters(prepared)
    reference = convert_to_reference_fx(copy.deepcopy(prepared))
    quantized = convert_fx(prepared)
    fields |= weight_parameters(quantized)
    fields |= {f"reference/{name}": value for name, value in quantized_values(reference, x).items()}
    fields |= {"calibration": batches, "x": x, "y_float": network(x), "y_reference": reference(x)}
    if reduce_range:
        fields |= {f"values/{name}": value for name, value in quantized_values(quantized, x).items()}
        fields["y"] = quantized(x)
    attributes = {
        "topology": "conv1 Conv2d 2→6 3×3 padding 1, relu1, pool MaxPool2d 2, conv2 Conv2d 6→8 3×3 padding 1, relu2, "
        "average AdaptiveAvgPool2d 1, flatten(1), fc Linear 8→5; conv + relu are fused: `conv1` and `conv2` are values after ReLU",
        "reduce_range": reduce_range,
        "activation_observers": observed,
        "layers": LAYERS,
        "torch_kernels": reduce_range,
    }
    family.add(case, attributes, {**state(network), **fields})


def activation_parameters(prepared):
    """For each observed value, by the name of the node that makes it: what its observer found."""
    names, fields = [], {}
    modules = dict(prepared.named_modules(remove_duplicate=False))
    for node in prepared.graph.nodes:
        observer = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(observer, ObserverBase):
            continue
        name = node.args[0].name
        names.append(name)
        scale, zero_point = observer.calculate_qparams()
        fields[f"observers/{name}/min_val"] = observer.min_val.reshape(-1)
        fields[f"observers/{name}/max_val"] = observer.max_val.reshape(-1)
        fields[f"observers/{name}/scale"] = scale
        fields[f"observers/{name}/zero_point"] = zero_point.to(torch.int32)
    return names, fields


def weight_parameters(quantized):
    fields = {}
    for name in LAYERS:
        weight = quantized.get_submodule(name).weight()
        fields[f"weights/{name}/q"] = weight.int_repr()
        fields[f"weights/{name}/scale"] = weight.q_per_channel_scales().float()
        fields[f"weights/{name}/zero_point"] = weight.q_per_channel_zero_points().to(torch.int32)
    return fields


class Recorder(torch.fx.Interpreter):
    """Keeps the bytes of every quantized value, by the name of the node that makes it."""

    def __init__(self, model):
        super().__init__(model)
        self.values = {}

    def run_node(self, node):
        result = super().run_node(node)
        if isinstance(result, torch.Tensor) and result.is_quantized:
            made_by = node.args[0] if node.target is torch.quantize_per_tensor else node
            self.values[made_by.name] = result.int_repr()
        return result


def quantized_values(model, x):
    recorder = Recorder(model)
    recorder.run(x)
    return recorder.values


main()
