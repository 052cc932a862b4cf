"""Makes fx_defaults.safetensors: what PyTorch's FX mode makes of three networks with each backend's default QConfig.

For each network and backend: prepare_fx with `get_default_qconfig_mapping`, calibration, then two models: the reference
(convert_to_reference_fx: float between quantize and dequantize) and, where products cannot saturate in int16 whatever the
CPU, the backend's kernels (convert_fx). fbgemm and x86 use activations 0 … 127; qnnpack's kernels multiply in 16 bits;
onednn uses 0 … 255, which saturates on CPUs without VNNI: the reference alone.

Stored are counts and figures, not outputs: how many images are classified right (`correct`), how many as the float network
does (`agree`), the signal-to-noise ratio of the logits against the float network's (`sqnr`, dB), scale and zero point of
each observed value and the scales of weights.

The networks use functions that FX fuses and shares scales across (`relu` and `flatten` as methods are neither).
`fmnist_cnn`, `digits_cnn`: their images, calibrated with 16 batches of 16. `observer_cnn`: parameters and the ten batches
of noise of observer_cnn.safetensors; the noise that it is tried on is drawn by SplitMix64, and has no labels.
"""

import copy
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.observer import HistogramObserver
from torch.ao.quantization.quantize_fx import convert_fx, convert_to_reference_fx, prepare_fx

from common import Family, split_mix

family = Family("fx_defaults")

ROOT = pathlib.Path(__file__).parents[2]
DEMO = ROOT / "Sources/OctetCLI/Resources"
DATA = ROOT / "Examples/Data"

# Whether the kernels of a backend can be compared with.
BACKENDS = {"fbgemm": True, "x86": True, "onednn": False, "qnnpack": True}


def convolution(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class FashionMNISTNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [*convolution(1, 16), *convolution(16, 32), nn.MaxPool2d(2), *convolution(32, 64), nn.MaxPool2d(2)]
        self.f = nn.Sequential(*layers)
        self.l1, self.l2 = nn.Linear(3136, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.l2(functional.relu(self.l1(torch.flatten(self.f(x), 1))))


class DigitsNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [*convolution(1, 16), *convolution(16, 32), nn.MaxPool2d(2), *convolution(32, 32)]
        self.f = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.l = nn.Linear(32, 10)

    def forward(self, x):
        return self.l(torch.flatten(self.f(x), 1))


class ObserverCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


def main():
    calibration, test = np.load(DEMO / "fashion-mnist-calibration-256.npz"), np.load(DEMO / "fashion-mnist-test-1k.npz")
    network = loaded(FashionMNISTNet(), load_file(DEMO / "fmnist_cnn.safetensors"))
    add_all("fmnist_cnn", network, pixels(calibration["images"], 255).split(16), pixels(test["images"], 255), test["labels"])

    digits = np.load(DATA / "digits.npz")
    network = loaded(DigitsNet(), load_file(DATA / "digits_cnn.safetensors"))
    images = pixels(digits["images"], 16)
    add_all("digits_cnn", network, images[:256].split(16), images[-500:], digits["labels"][-500:])

    manual = load_file(ROOT / "Tests/Vectors/observer_cnn.safetensors")
    state = {name.removeprefix("observer_cnn/state/"): value for name, value in manual.items() if "/state/" in name}
    add_all("observer_cnn", loaded(ObserverCNN(), state), manual["observer_cnn/x"].float() / 64, noise(200, 3, 32, 32))
    family.write()


def loaded(network, state):
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return network.eval()


def pixels(images, white):
    return torch.from_numpy(images).float().unsqueeze(1) / white


def noise(*shape):
    """Nearly normal: the sum of the eight bytes of a number."""
    numbers = split_mix(1, int(np.prod(shape)))
    sums = sum((numbers >> np.uint64(8 * byte)) & np.uint64(255) for byte in range(8)).astype(np.int64)
    return torch.from_numpy(((sums - 1020) / 208).astype(np.float32).reshape(shape))


@torch.no_grad()
def add_all(name, network, batches, x, labels=None):
    expected = network(x)
    for backend, has_kernels in BACKENDS.items():
        torch.backends.quantized.engine = backend
        prepared = prepare_fx(copy.deepcopy(network), get_default_qconfig_mapping(backend), (x[:1],))
        for batch in batches:
            prepared(batch)
        attributes = {"network": name, "backend": backend, "images": len(x), "sites": sites(prepared)}
        reference = convert_to_reference_fx(copy.deepcopy(prepared))
        attributes["float"] = figures(expected, expected, labels)
        attributes["reference"] = figures(reference(x), expected, labels)
        quantized = convert_fx(prepared)
        if has_kernels:
            attributes["kernels"] = figures(quantized(x), expected, labels)
        print(name, backend, *(f"{way}: {attributes[way]}" for way in ["float", "reference", "kernels"] if way in attributes))
        family.add(f"{name}_{backend}", attributes, weight_scales(quantized))


def figures(y, expected, labels):
    found, wanted = y.argmax(1), expected.argmax(1)
    result = {"agree": int((found == wanted).sum())}
    if labels is not None:
        result["correct"] = int((found == torch.from_numpy(labels).long()).sum())
    error = (y.double() - expected.double()).square().sum()
    if error > 0:
        result["sqnr"] = round(10 * torch.log10(expected.double().square().sum() / error).item(), 3)
    return result


def sites(prepared):
    """Of each observed value, by the name of the node that makes it. Values that share an observer have the same."""
    result = {}
    modules = dict(prepared.named_modules(remove_duplicate=False))
    for node in prepared.graph.nodes:
        observer = modules.get(node.target) if node.op == "call_module" else None
        if isinstance(observer, HistogramObserver):
            scale, zero_point = observer.calculate_qparams()
            width = (observer.max_val - observer.min_val).item() / observer.bins
            result[node.args[0].name] = {
                "scale": scale.item(), "zero_point": int(zero_point), "bin_width": width,
                "steps": observer.quant_max - observer.quant_min,
            }
    return result


def weight_scales(quantized):
    fields = {}
    for name, module in quantized.named_modules():
        if hasattr(module, "weight") and callable(module.weight):
            weight = module.weight()
            per_channel = weight.qscheme() in (torch.per_channel_affine, torch.per_channel_symmetric)
            scale = weight.q_per_channel_scales() if per_channel else torch.tensor([weight.q_scale()])
            fields[f"weights/{name}"] = scale.float()
    return fields


main()
