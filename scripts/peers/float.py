"""Compares Octet's float32 plan with ONNX Runtime's on one network, one thread, in interleaved pairs.

One side runs `octet demo --json --threads 1` and reads its row `float32`; the other times ONNX Runtime in this process in
the same way: milliseconds per image at batch 1 and images per second at batch 128, each the median of at least 0.3 s of
runs after a warm-up. Says how many times as fast Octet is (above 1: Octet is faster) with a 90 % interval. It judges
nothing: the exit code is 0 whatever the figures are.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime

from common import ROOT, cpu_name, summary

SECONDS = 0.3
WARM_UP_SECONDS = 0.1


def main():
    arguments = parse()
    session = one_thread_session(arguments.model)
    print(f"{cpu_name()}; ONNX Runtime {onnxruntime.__version__}; {arguments.model.name}; float32, 1 thread")
    print("pair   octet ms  ORT ms  ratio   octet img/s  ORT img/s  ratio")
    pairs = [measure_pair(number, arguments.octet, session) for number in range(1, arguments.pairs + 1)]
    result = {
        "cpu": cpu_name(),
        "onnxruntime": onnxruntime.__version__,
        "model": arguments.model.name,
        "threads": 1,
        "pairs": pairs,
        "batch1": summary([pair["ratio_batch1"] for pair in pairs]),
        "batch128": summary([pair["ratio_batch128"] for pair in pairs]),
    }
    for batch in ["batch1", "batch128"]:
        figures = result[batch]
        print(f"{batch}: octet / ORT speed {figures['ratio']:.3f}, 90 % interval {figures['low']:.3f} to {figures['high']:.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers float", description="Octet against ONNX Runtime, float32, one thread.")
    parser.add_argument("model", nargs="?", type=pathlib.Path, default=ROOT / "Examples/Data/fmnist_cnn.onnx", help="ONNX file")
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / ".build/release/octet", help="the program (%(default)s)")
    parser.add_argument("--pairs", type=int, default=9, help="interleaved pairs, at least 9")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    if arguments.pairs < 9:
        parser.error("--pairs must be at least 9")
    for path in [arguments.model, arguments.octet]:
        if not path.is_file():
            parser.error(f"there is no file {path}")
    return arguments


def one_thread_session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def measure_pair(number, octet, session):
    """One measurement of each side. Which one goes first alternates."""
    if number % 2 == 1:
        ours, theirs = measure_octet(octet), measure_onnxruntime(session)
    else:
        theirs, ours = measure_onnxruntime(session), measure_octet(octet)
    pair = {
        "octet": ours,
        "onnxruntime": theirs,
        "ratio_batch1": theirs["ms_per_image_batch1"] / ours["ms_per_image_batch1"],
        "ratio_batch128": ours["images_per_second_batch128"] / theirs["images_per_second_batch128"],
    }
    print(
        f"{number:4}  {ours['ms_per_image_batch1']:9.4f}{theirs['ms_per_image_batch1']:8.4f}{pair['ratio_batch1']:7.3f}"
        f"{ours['images_per_second_batch128']:14,.0f}{theirs['images_per_second_batch128']:11,.0f}{pair['ratio_batch128']:7.3f}",
        flush=True,
    )
    return pair


def measure_octet(octet):
    run = subprocess.run([str(octet.resolve()), "demo", "--json", "--threads", "1"], stdout=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{octet} demo --json --threads 1 ended with code {run.returncode}")
    rows = {row["name"]: row for row in json.loads(run.stdout)["rows"]}
    return {name: rows["float32"][name] for name in ["ms_per_image_batch1", "images_per_second_batch128"]}


def measure_onnxruntime(session):
    return {
        "ms_per_image_batch1": seconds_per_run(session, 1) * 1000,
        "images_per_second_batch128": 128 / seconds_per_run(session, 128),
    }


def seconds_per_run(session, batch):
    """The median over runs that together take at least SECONDS, after runs that are not counted."""
    value = session.get_inputs()[0]
    shape = [batch, *value.shape[1:]]
    feed = {value.name: np.random.default_rng(0).random(shape, dtype=np.float32)}
    times_of_runs(session, feed, WARM_UP_SECONDS)
    return statistics.median(times_of_runs(session, feed, SECONDS))


def times_of_runs(session, feed, seconds):
    times = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return times


main()
