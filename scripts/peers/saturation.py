"""What saturating products cost a real network: the same int8 model on exact and on saturating kernels.

AVX2 has no 8-bit dot product: its `vpmaddubsw` adds two products in 16 bits and saturates, and oneDNN, PyTorch and ONNX
Runtime use it as it is. Here the network of `octet demo` is quantized once (weights per channel, activations uint8 by their
smallest and largest value over the calibration images) and runs with the same integers everywhere:

  * Octet, with the instruction set that it chooses and held to AVX2;
  * oneDNN and PyTorch (FBGEMM) held to AVX2; ONNX Runtime as this CPU lets it (it listens to nobody);
  * PyTorch once more with activations of 7 bits, the usual way to keep such products from saturating.

Convolutions and linear layers run in the engines, pooling here. `wrong` is the share of
bytes that differ by more than one from the exact result of the same model, layer by layer; SQNR compares the logits with
those of the float32 network.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import tempfile

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnx
from onnx import numpy_helper

from common import ROOT, cpu_kind, cpu_name
from problem import Convolution, Integer, convolve
from worker import Worker

DATA = ROOT / "Sources/OctetCLI/Resources"
MODEL = ROOT / "Examples/Data/fmnist_cnn.onnx"
# title, engine, instruction set, bits of an activation
RUNS = [
    ("Octet", "octet", None, 8),
    ("Octet, AVX2", "octet", "avx2", 8),
    ("oneDNN, AVX2", "onednn", "avx2", 8),
    ("PyTorch, AVX2", "pytorch", "avx2", 8),
    ("ONNX Runtime", "onnx_runtime", None, 8),
    ("PyTorch, AVX2, 7-bit activations", "pytorch", "avx2", 7),
]


@dataclasses.dataclass
class Layer:
    """A convolution or a linear layer (over images of one pixel), a ReLU but for the last, perhaps a 2×2 maximum."""

    weights: np.ndarray  # [outputs, inputs, kernel, kernel]
    bias: np.ndarray
    relu: bool = True
    pooled: bool = False

    def sizes(self, x):
        outputs, inputs, kernel, _ = self.weights.shape
        return (inputs, outputs, x.shape[1], kernel, 1, 1, len(x))

    def prepared(self, x):
        """Images that meet a linear layer become one pixel each."""
        return x if x.shape[3] == self.weights.shape[1] else x.reshape(len(x), 1, 1, -1)

    def real(self, x):
        x = self.prepared(x)
        y = convolve(x, self.weights, Convolution(*self.sizes(x))) + self.bias
        return np.maximum(y, 0) if self.relu else y

    def finished(self, y):
        if not self.pooled:
            return y
        n, height, width, c = y.shape
        return y.reshape(n, height // 2, 2, width // 2, 2, c).max(axis=(2, 4))


class Step:
    """A layer in integers. Its result is stored from `lowest` on, which the bias carries, so that 0 … 255 is the clamp."""

    def __init__(self, layer, input_scale, lowest, highest, bits):
        self.layer, self.low = layer, lowest
        self.scale = (highest - lowest) / (2**bits - 1)
        flat = layer.weights.reshape(len(layer.weights), -1)
        weight_scale = np.abs(flat).max(axis=1) / 127
        self.weights = np.rint(layer.weights / weight_scale[:, None, None, None]).astype(np.int8)
        self.multiplier = (input_scale * weight_scale / self.scale).astype(np.float32)
        self.bias = np.rint((layer.bias - lowest) / (input_scale * weight_scale)).astype(np.int32)

    def problem(self, x):
        x = np.ascontiguousarray(self.layer.prepared(x))
        return Integer("conv", self.layer.sizes(x), x, self.weights, self.multiplier, self.bias)

    def real(self, y):
        return y * self.scale + self.low


def main():
    arguments = parse()
    layers = read_layers()
    images, labels = read_images("fashion-mnist-test-1k")
    calibration, _ = read_images("fashion-mnist-calibration-256")
    logits = float_values(layers, images)[-1]
    print(f"{cpu_name()} ({cpu_kind()}); {MODEL.name}, {len(images)} images")
    print(f"{'':36}accuracy   as float32   SQNR of logits   wrong bytes, layer by layer")
    results = [report("float32", logits, logits, labels, [])]
    ranges = [(min(0.0, values.min()), values.max()) for values in float_values(layers, calibration)]
    results += [measure(layers, ranges, images, labels, logits, *one) for one in RUNS]
    if arguments.json:
        figures = {"cpu": cpu_name(), "kind": cpu_kind(), "model": MODEL.name, "rows": [r for r in results if r]}
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench-peers saturation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file as well")
    return parser.parse_args()


# MARK: - The network


def read_layers():
    """Batch normalization folded in; the first linear layer's weights in the order of an NHWC image."""
    model = onnx.load(str(MODEL))
    values = {v.name: numpy_helper.to_array(v).astype(np.float64) for v in model.graph.initializer}

    def convolution(name, norm, pooled=False):
        scale = values[f"{norm}.weight"] / np.sqrt(values[f"{norm}.running_var"] + 1e-5)
        bias = values[f"{norm}.bias"] - values[f"{norm}.running_mean"] * scale
        return Layer(values[f"{name}.weight"] * scale[:, None, None, None], bias, pooled=pooled)

    hidden = values["l1.weight"].reshape(64, 64, 7, 7).transpose(0, 2, 3, 1).reshape(64, -1, 1, 1)
    return [
        convolution("f.0", "f.1"),
        convolution("f.3", "f.4", pooled=True),
        convolution("f.7", "f.8", pooled=True),
        Layer(hidden, values["l1.bias"]),
        Layer(values["l2.weight"][:, :, None, None], values["l2.bias"], relu=False),
    ]


def read_images(name):
    """[n, 28, 28, 1] uint8; the network's input is pixel / 255."""
    with np.load(DATA / f"{name}.npz") as file:
        return file["images"][..., None], file["labels"]


def float_values(layers, images):
    """Each layer's result, before pooling."""
    values, x = [], images / 255
    for layer in layers:
        values.append(layer.real(x))
        x = layer.finished(values[-1])
    return values


# MARK: - Running it


def measure(layers, ranges, images, labels, logits, title, engine, isa, bits):
    """One engine's run of the int8 model; None if it cannot run here."""
    worker = Worker(engine, isa, 0)
    if worker.problem:
        print(f"{title} is left out: {worker.problem}")
        return None
    # Pixels are bytes already; 7 bits of them are what is left after halving.
    first, scale = (images, 1 / 255) if bits == 8 else (images // 2, 2 / 255)
    steps = []
    for layer, (lowest, highest) in zip(layers, ranges):
        steps.append(Step(layer, scale, lowest, highest, bits))
        scale = steps[-1].scale
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def remote(problem):
            problem.save(folder / "problem.npz")
            worker.ask(do="solve", problem=str(folder / "problem.npz"), result=str(folder / "result.npy"))
            return np.load(folder / "result.npy")

        done, exact = run(steps, first, remote), run(steps, first, lambda problem: problem.expected())
    worker.close()
    wrong = [Integer.wrong(ours, theirs) for ours, theirs in zip(done, exact)]
    return report(title, steps[-1].real(done[-1]), logits, labels, wrong)


def run(steps, x, product):
    results = []
    for step in steps:
        results.append(product(step.problem(x)))
        x = step.layer.finished(results[-1])
    return results


def report(title, found, logits, labels, wrong):
    found, truth = found.reshape(len(labels), -1), logits.reshape(len(labels), -1)
    error = ((found - truth) ** 2).sum()
    result = {
        "title": title,
        "accuracy": float((found.argmax(axis=1) == labels).mean()),
        "agreement": float((found.argmax(axis=1) == truth.argmax(axis=1)).mean()),
        "sqnr": float(10 * np.log10((truth**2).sum() / error)) if error else None,
        "wrong": wrong,
    }
    decibels = f"{result['sqnr']:.1f} dB" if error else ""
    shares = " ".join(f"{share:.2%}" for share in wrong)
    print(f"{title:36}{result['accuracy']:8.1%}{result['agreement']:13.1%}{decibels:>17}   {shares}", flush=True)
    return result


main()
