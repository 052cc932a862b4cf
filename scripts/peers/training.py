"""Compares training with PyTorch's, in interleaved pairs: how long a step takes, and how much memory twenty steps do.

Rows: the CNN of PyTorch's MNIST example, 128 images a step, with SGD and with Adam; a small residual network with batch
normalization, 32 images of 32 × 32; inverted residuals (of MobileNetV2, with depthwise convolution), 16 images of 24 × 28 ×
28; quantization-aware training of the first two (in PyTorch: prepare_qat_fx); fake-quantization of 10
million floats with one scale, without and with the mask of gradients (in PyTorch: of an x that requires none, or one). Each
measurement is a process of its own that makes 20 steps of which the first 3 do not count (`octet bench training ROW`, and
this file as a worker), of which the median counts. Ratios above 1 say that Octet is faster; memory is what the peak of
resident memory grows by from the loaded network to the end. Steps of quantization-aware training take turns with those of
the same network in float: how much they cost is the median of those ratios. All with 90 % intervals. It judges nothing.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

from common import ROOT, cpu_kind, cpu_name, summary

ROWS = {
    "sgd": [1, 2], "adam": [1, 2], "residual": [1, 2], "mobile": [1, 2], "qat cnn": [1, 2], "qat residual": [2],
    "fake-quantize": [1], "masked fake-quantize": [1],
}
TARGETS = {("sgd", 2): 1.0, ("adam", 2): 1.0, ("fake-quantize", 1): 15, ("masked fake-quantize", 1): 11}
MOST_MEMORY = 1.2
MOST_COST = 1.25
WARM_UP, STEPS = 3, 20


def main():
    arguments = parse()
    if arguments.worker:
        return work(*arguments.worker)
    rows, isa, version = [], "", ""
    for name, numbers in ROWS.items():
        for threads in numbers:
            if arguments.rows and not any(name.startswith(start) for start in arguments.rows):
                continue
            row, isa, version = compare(name, threads, arguments)
            rows.append(row)
    report = {"cpu": cpu_name(), "isa": isa, "pytorch": version, "pairs": arguments.pairs, "rows": rows}
    if arguments.results:
        file = arguments.results / f"{cpu_kind()}-{isa}-training"
        file.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
        file.with_suffix(".md").write_text(markdown(report))


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers training", description=__doc__.split("\n")[0])
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / ".build/release/octet", help="the program (%(default)s)")
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs, at least 9")
    parser.add_argument("--rows", type=lambda text: text.split(","), help=f"those that begin so: {', '.join(ROWS)}")
    parser.add_argument("--results", type=pathlib.Path, help="a folder for the figures, as JSON and as a table")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.pairs < 9:
        parser.error("--pairs must be at least 9")
    if not arguments.worker and not arguments.octet.is_file():
        parser.error(f"there is no file {arguments.octet}")
    return arguments


def compare(name, threads, arguments):
    ours = [str(arguments.octet.resolve()), "bench", "training", name, "--threads", str(threads), "--json"]
    theirs = [sys.executable, "-B", __file__, "--worker", name, str(threads)]
    pairs, isa, version = [], "", ""
    for number in range(arguments.pairs):
        # Each goes first half of the time.
        found = {}
        for engine, command in [("octet", ours), ("pytorch", theirs)][:: 1 if number % 2 else -1]:
            found[engine] = run(command)
        isa, version = found["octet"]["isa"], found["pytorch"]["version"]
        pairs.append((found["octet"]["rows"][0], found["pytorch"]))
    row = {
        "row": name,
        "threads": threads,
        "octet_ms": statistics.median(ours["median_ms"] for ours, _ in pairs),
        "pytorch_ms": statistics.median(theirs["median_ms"] for _, theirs in pairs),
        "speed": summary([theirs["median_ms"] / ours["median_ms"] for ours, theirs in pairs]),
        "target": TARGETS.get((name, threads)),
    }
    if "memory_mb" in pairs[0][0]:
        row["octet_mb"] = statistics.median(ours["memory_mb"] for ours, _ in pairs)
        row["pytorch_mb"] = statistics.median(theirs["memory_mb"] for _, theirs in pairs)
        row["memory"] = summary([ours["memory_mb"] / theirs["memory_mb"] for ours, theirs in pairs])
    if "float_ratio" in pairs[0][0]:
        row["cost"] = summary([ours["float_ratio"] for ours, _ in pairs])
        row["pytorch_cost"] = summary([theirs["float_ratio"] for _, theirs in pairs])
    print(f"{name:20} {threads} thread(s): octet {row['octet_ms']:.1f} ms, PyTorch {row['pytorch_ms']:.1f} ms: {ratio(row['speed'])}"
          + (f" (target {row['target']})" if row["target"] else "")
          + (f"; memory {ratio(row['memory'])} (at most {MOST_MEMORY})" if "memory" in row else "")
          + (f"; of a step in float {ratio(row['cost'])} (at most {MOST_COST}), PyTorch's {ratio(row['pytorch_cost'])}"
             if "cost" in row else ""), flush=True)
    return row, isa, version


def run(command):
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with code {run.returncode}")
    return json.loads(run.stdout)


def ratio(summed):
    return f"{summed['ratio']:.2f} ({summed['low']:.2f} – {summed['high']:.2f})"


def markdown(report):
    lines = [
        "# Training steps against PyTorch",
        "",
        f"{report['cpu']}, {report['isa']}; PyTorch {report['pytorch']}; {report['pairs']} interleaved pairs of processes, medians of",
        f"{STEPS - WARM_UP} steps, 90 % intervals (`scripts/bench-peers training`). Memory: growth of the peak over {STEPS} steps.",
        "",
        "| row | threads | Octet, ms | PyTorch, ms | times as fast | target | Octet, MB | PyTorch, MB | memory, ratio (at most 1.2) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in report["rows"]:
        memory = [f"{row['octet_mb']:.0f}", f"{row['pytorch_mb']:.0f}", ratio(row["memory"])] if "memory" in row else ["–"] * 3
        cells = [row["row"], row["threads"], f"{row['octet_ms']:.1f}", f"{row['pytorch_ms']:.1f}", ratio(row["speed"])]
        lines.append("| " + " | ".join(map(str, cells + [f"≥ {row['target']}" if row["target"] else "–"] + memory)) + " |")
    costly = [row for row in report["rows"] if "cost" in row]
    if costly:
        lines += [
            "",
            f"A step of quantization-aware training ÷ one of the same network in float, which take turns (at most {MOST_COST}):",
            "",
            "| row | threads | Octet | PyTorch |",
            "| --- | --- | --- | --- |",
        ]
        lines += [f"| {row['row']} | {row['threads']} | {ratio(row['cost'])} | {ratio(row['pytorch_cost'])} |" for row in costly]
    return "\n".join(lines) + "\n"


# MARK: - PyTorch


def work(name, threads):
    import torch
    import torch.nn.functional as functional

    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    if "fake-quantize" in name:
        x = torch.rand(10_000_000) * 2 - 1
        x.requires_grad_(name.startswith("masked"))
        times = timed(lambda: torch.fake_quantize_per_tensor_affine(x, 0.02, 128, 0, 255), WARM_UP + STEPS)
        return show(torch, times)
    kind = name.removeprefix("qat ")
    shape = {"residual": (32, 3, 32, 32), "mobile": (16, 24, 28, 28)}.get(kind, (128, 1, 28, 28))
    x = torch.rand(shape) * 2 - 1
    labels = torch.arange(len(x)) % 10

    def stepper(network):
        network.train()
        optimizer = (torch.optim.Adam(network.parameters()) if name == "adam"
                     else torch.optim.SGD(network.parameters(), lr=0.01))

        def step():
            optimizer.zero_grad()
            functional.cross_entropy(network(x), labels).backward()
            optimizer.step()

        return step

    network = {"residual": residual_network, "mobile": mobile_network}.get(kind, mnist_network)(torch)
    if name.startswith("qat"):
        from torch.ao.quantization import get_default_qat_qconfig_mapping
        from torch.ao.quantization.quantize_fx import prepare_qat_fx

        prepared = prepare_qat_fx(network.train(), get_default_qat_qconfig_mapping("x86"), (x,))
        steps = [stepper(network), stepper(prepared)]
        times = [[], []]
        for _ in range(STEPS):
            for step, own in zip(steps, times):
                own += timed(step, 1)
        ratios = [qat / float_ for float_, qat in zip(*(own[WARM_UP:] for own in times))]
        return show(torch, times[1], float_ratio=statistics.median(ratios))
    before = peak_memory()
    times = timed(stepper(network), STEPS)
    show(torch, times, memory_mb=peak_memory() - before)


def show(torch, times, **more):
    print(json.dumps({"version": torch.__version__.split("+")[0], "median_ms": statistics.median(times[WARM_UP:]) * 1e3} | more))


def timed(body, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        body()
        times.append(time.perf_counter() - start)
    return times


def peak_memory():
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6


def mnist_network(torch):
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))


def residual_network(torch):
    nn = torch.nn

    def block(inputs, outputs, stride):
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
            self.block1, self.block2 = block(32, 32, 1), block(32, 64, 2)
            self.shortcut = nn.Sequential(nn.Conv2d(32, 64, 1, 2, bias=False), nn.BatchNorm2d(64))
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            x = self.stem(x)
            y = torch.relu(self.block1(x) + x)
            z = torch.relu(self.block2(y) + self.shortcut(y))
            return self.fc(z.mean((2, 3)))

    return Network()


def mobile_network(torch):
    nn = torch.nn

    class InvertedResidual(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            hidden = 6 * inputs
            self.conv = nn.Sequential(
                nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
                nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
                nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            self.is_residual = stride == 1 and inputs == outputs

        def forward(self, x):
            return x + self.conv(x) if self.is_residual else self.conv(x)

    return nn.Sequential(
        InvertedResidual(24, 24, 1), InvertedResidual(24, 32, 2), InvertedResidual(32, 32, 1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 10))


main()
