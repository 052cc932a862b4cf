"""Compares layers with dynamic quantization with ONNX Runtime's and PyTorch's, in interleaved rounds.

Rows: an LSTM 256→512 of 2 layers over 50 steps, and an encoder layer of a transformer, 768 / 3072, 128 tokens, 12 heads.
Ours runs as `octet bench networks`; the peers in this process, each the median of at least 0.3 s of runs after a warm-up.
Says how many times as fast Octet is as the best peer (above 1: Octet is faster) with a 90 % interval, with bell-shaped
weights, as trained ones are, and with evenly distributed ones (flat); those of peers take the same time. It judges nothing.
Where a CPU has no byte dot product, both peers' int8 kernels saturate; ours are exact.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from common import ROOT, cpu_features, cpu_name, summary

warnings.filterwarnings("ignore")
SECONDS = 0.3
WARM_UP_SECONDS = 0.1
STEPS, INPUTS, HIDDEN, LAYERS = 50, 256, 512, 2
TOKENS, MODEL, FEEDFORWARD, HEADS = 128, 768, 3072, 12


def main():
    arguments = parse()
    print(f"{cpu_name()}; ONNX Runtime {onnxruntime.__version__}, PyTorch {torch.__version__}; dynamic int8, milliseconds")
    results = []
    for threads in arguments.threads:
        for name, peers in [("lstm", lstm_peers(threads)), ("encoder", encoder_peers(threads))]:
            results.append(compare(name, threads, peers, arguments))
    if arguments.json:
        report = {"cpu": cpu_name(), "features": cpu_features(), "rows": results}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers recurrent", description=__doc__.split("\n")[0])
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / ".build/release/octet", help="the program (%(default)s)")
    parser.add_argument("--threads", type=lambda text: [int(t) for t in text.split(",")], default=[1, 2], help="1,2")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds, at least 9")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    if arguments.rounds < 9:
        parser.error("--rounds must be at least 9")
    if not arguments.octet.is_file():
        parser.error(f"there is no file {arguments.octet}")
    return arguments


def compare(name, threads, peers, arguments):
    times = {engine: [] for engine in ["octet", "octet (flat)", *peers]}
    ratios = {"octet": [], "octet (flat)": []}
    for number in range(arguments.rounds):
        engines = ["octet", *peers]
        for engine in engines[number % len(engines):] + engines[:number % len(engines)]:
            if engine == "octet":
                for form, seconds in octet(arguments.octet, name, threads).items():
                    times[form].append(seconds * 1000)
            else:
                times[engine].append(median_time(peers[engine]) * 1000)
        for form in ratios:
            ratios[form].append(min(times[peer][-1] for peer in peers) / times[form][-1])
    result = {"row": name, "threads": threads, "ms": {e: statistics.median(t) for e, t in times.items()}}
    result |= {form: summary(values) for form, values in ratios.items()}
    print(f"{name:8} {threads} thread(s): " + "  ".join(f"{engine} {ms:.2f}" for engine, ms in result["ms"].items()))
    for form in ratios:
        summed = result[form]
        print(f"    best peer / {form} {summed['ratio']:.2f} ({summed['low']:.2f}–{summed['high']:.2f})", flush=True)
    return result


def octet(program, name, threads):
    """Seconds with weights of either form."""
    command = [str(program.resolve()), "bench", "networks", name, "--threads", str(threads), "--json"]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with code {run.returncode}")
    rows = {row["form"]: row["median_ms"] / 1000 for row in json.loads(run.stdout)["rows"]}
    return {"octet": rows["dynamic"], "octet (flat)": rows["dynamic, flat weights"]}


def median_time(run):
    times_of_runs(run, WARM_UP_SECONDS)
    return statistics.median(times_of_runs(run, SECONDS))


def times_of_runs(run, seconds):
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        run()
        times.append(time.perf_counter() - start)
    return times


def onnx_session(model, threads):
    """The model, quantized by ONNX Runtime's own tool: int8 weights, per channel."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(pathlib.Path(folder) / name) for name in ("float.onnx", "dynamic.onnx")]
        onnx.save(model, paths[0])
        quantize_dynamic(paths[0], paths[1], per_channel=True, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(paths[1], options, providers=["CPUExecutionProvider"])


def torch_run(module, kinds, x, threads):
    quantized = torch.ao.quantization.quantize_dynamic(
        torch.nn.Sequential(module).eval(), {kind: torch.ao.quantization.per_channel_dynamic_qconfig for kind in kinds})

    def run():
        torch.set_num_threads(threads)
        with torch.inference_mode():
            quantized(x)

    return run


def lstm_peers(threads):
    random = np.random.default_rng(0)
    bound = HIDDEN**-0.5
    helper = onnx.helper
    nodes, tensors, size, value = [], [], INPUTS, "x"
    for layer in range(LAYERS):
        shapes = {"W": (1, 4 * HIDDEN, size), "R": (1, 4 * HIDDEN, HIDDEN), "B": (1, 8 * HIDDEN)}
        for name, shape in shapes.items():
            values = random.uniform(-bound, bound, shape).astype(np.float32)
            tensors.append(onnx.numpy_helper.from_array(values, f"{name}{layer}"))
        nodes.append(helper.make_node("LSTM", [value, *[f"{name}{layer}" for name in shapes]], [f"y{layer}"], hidden_size=HIDDEN))
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "axes"], [f"z{layer}"]))
        size, value = HIDDEN, f"z{layer}"
    tensors.append(onnx.numpy_helper.from_array(np.array([1], dtype=np.int64), "axes"))
    graph = helper.make_graph(
        nodes, "lstm", [helper.make_tensor_value_info("x", 1, [STEPS, 1, INPUTS])],
        [helper.make_tensor_value_info(value, 1, [STEPS, 1, HIDDEN])], tensors)
    session = onnx_session(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), threads)
    x = random.uniform(-1, 1, (STEPS, 1, INPUTS)).astype(np.float32)
    return {
        "onnxruntime": lambda: session.run(None, {"x": x}),
        "pytorch": torch_run(torch.nn.LSTM(INPUTS, HIDDEN, LAYERS), [torch.nn.LSTM], torch.from_numpy(x), threads),
    }


class Encoder(torch.nn.Module):
    """An encoder layer, written out so that every product is a layer that can be quantized."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(MODEL, 3 * MODEL), torch.nn.Linear(MODEL, MODEL)
        self.up, self.down = torch.nn.Linear(MODEL, FEEDFORWARD), torch.nn.Linear(FEEDFORWARD, MODEL)
        self.norm1, self.norm2 = torch.nn.LayerNorm(MODEL), torch.nn.LayerNorm(MODEL)
        self.activation = torch.nn.GELU()

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(1, TOKENS, 3, HEADS, MODEL // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        attention = (q @ k.transpose(-2, -1) * (MODEL // HEADS) ** -0.5).softmax(-1) @ v
        x = self.norm1(x + self.out(attention.transpose(1, 2).reshape(1, TOKENS, MODEL)))
        return self.norm2(x + self.down(self.activation(self.up(x))))


def encoder_peers(threads):
    module = Encoder().eval()
    x = torch.rand(1, TOKENS, MODEL) * 2 - 1
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "encoder.onnx")
        torch.onnx.export(module, (x,), path, input_names=["x"], opset_version=17, dynamo=False)
        model = onnx.load(path)
    session = onnx_session(model, threads)
    values = x.numpy()
    return {
        "onnxruntime": lambda: session.run(None, {"x": values}),
        "pytorch": torch_run(module, [torch.nn.Linear], x, threads),
    }


main()
