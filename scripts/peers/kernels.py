"""Compares Octet's kernels with oneDNN, ONNX Runtime and PyTorch, interleaved in one run, row by row (rows.py).

Each engine lives in a process of its own (worker.py) and runs every row in the forms that its users can give it; its fastest
counts. A pair is one measurement of ours and one of a peer, next to each other; which goes first alternates. A measurement is
the best of many short samples. A ratio says how many times as fast Octet is (above 1: faster): the median of all pairs, with
a 90 % interval. `peak` is the loop of multiplies of the same instruction set, measured in the same run.

Fair means here:
  * GEMM: operands and result row-major, whatever an engine converts is counted; weights are packed beforehand for everybody.
  * Convolution: every engine in the layout that it passes between layers, NHWC bytes or what its primitive picks.
  * uint8 results, requantized with a scale per channel, clamped as after a ReLU; convolutions have a bias.
  * All results are compared with exact integers. An engine whose bytes differ by more than one is marked with the share of them.

It judges nothing: the exit code is 0 whatever the figures are; what the project wants to reach stands beside them.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import sys
import tempfile

# Exact references are computed here, between the measurements, and leave no threads behind.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from common import ROOT, cpu_features, cpu_kind, cpu_name, summary
from problem import problem_of
from report import print_row, print_table_end, print_table_start, write_results
from rows import rows_matching
from worker import Worker

# Ours first: the order of the columns.
ENGINES = ["octet", "onednn", "onnx_runtime", "onnx_runtime_exact", "pytorch", "openblas"]


def main():
    arguments = parse()
    rows = rows_matching(arguments.rows)
    if not rows:
        sys.exit(f"no row matches {arguments.rows}")
    engines = start_engines(arguments, rows)
    run = {
        "cpu": cpu_name(),
        "kind": cpu_kind(),
        "isa": engines["octet"].version,
        "restricted": arguments.isa,
        "date": datetime.date.today().isoformat(),
        "pairs": arguments.pairs,
        "input_zero": arguments.input_zero,
        "engines": {name: {"title": e.title, "version": e.version} for name, e in engines.items()},
        "rows": [],
    }
    print(f"{run['cpu']} ({run['kind']}); " + ", ".join(f"{e.title} {e.version}" for e in engines.values()))
    with tempfile.TemporaryDirectory() as folder:
        for table in dict.fromkeys(row.table for row in rows):
            for threads in arguments.threads:
                chosen = [row for row in rows if row.table == table and threads in row.threads]
                if not chosen:
                    continue
                columns = [name for name in engines if any(name in row.engines() for row in chosen)]
                print_table_start(table, threads, columns, run)
                for row in chosen:
                    present = {name: engines[name] for name in columns if name in row.engines()}
                    run["rows"].append(compare(row, threads, present, arguments, pathlib.Path(folder)))
                    print_row(run["rows"][-1], columns, run)
                print_table_end(table, threads, run)
    for engine in engines.values():
        engine.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    if arguments.output:
        write_results(run, arguments.output)


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench-peers kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="tables or rows: gemm, 'convolution 3×3*', 'gemm;float'")
    parser.add_argument("--threads", default="1,2", type=lambda text: [int(t) for t in text.split(",")], help="1,2")
    parser.add_argument("--pairs", type=int, help="interleaved pairs (15; with --quick 5)")
    parser.add_argument("--isa", help="hold ours and the peers that listen to this instruction set: avx2, …")
    parser.add_argument("--peers", help="only these, of onednn, onnx_runtime, onnx_runtime_exact, pytorch, openblas")
    parser.add_argument("--input-zero", type=int, default=0, help="zero point of the activations (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="few and short measurements, nothing is written")
    parser.add_argument("--output", type=pathlib.Path, help="folder of the results (a run of all rows: Benchmarks/results)")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    arguments.pairs = arguments.pairs or (5 if arguments.quick else 15)
    arguments.seconds = 0.008 if arguments.quick else 0.025
    if not arguments.quick and arguments.pairs < 9:
        parser.error("--pairs must be at least 9")
    if arguments.output is None and arguments.rows == "*" and not arguments.quick:
        arguments.output = ROOT / "Benchmarks/results"
    return arguments


def start_engines(arguments, rows):
    """Ours first, then the peers that can run here, held to the instruction set if one is given."""
    wanted = {name for row in rows for name in row.engines()}
    names = [name for name in ENGINES if name in wanted]
    left_out = set()
    if arguments.peers:
        left_out = set(names) - {"octet", *arguments.peers.split(",")}
    elif {"avx512_vnni", "avx_vnni"} & cpu_features():
        # ONNX Runtime is exact here without being told, and cannot be held to anything less.
        left_out = {"onnx_runtime_exact", *(["onnx_runtime"] if arguments.isa else [])}
    engines = {}
    for name in names:
        if name in left_out:
            continue
        engine = Worker(name, arguments.isa, arguments.input_zero)
        if engine.problem:
            if name == "octet":
                sys.exit(engine.problem)
            print(f"{name} is left out: {engine.problem}", file=sys.stderr)
        else:
            engines[name] = engine
    return engines


def compare(row, threads, engines, arguments, folder):
    """Prepares the row everywhere, checks the results, measures pairs."""
    prepared = prepare(row, threads, engines, arguments, folder)
    samples = {name: [] for name in prepared}

    def measure(name):
        samples[name].append(engines[name].ask(do="measure", seconds=arguments.seconds, least=2))
        return samples[name][-1]["best"]

    pairs = {name: [] for name in prepared if name != "octet"}
    for number in range(arguments.pairs):
        for peer, ratios in pairs.items():
            if number % 2 == 0:
                ours, theirs = measure("octet"), measure(peer)
            else:
                theirs, ours = measure(peer), measure("octet")
            ratios.append(theirs / ours)
        if not pairs:
            measure("octet")

    def figure(seconds):
        return seconds * 1e9 if row.unit() == "ns" else row.work() / seconds

    for name, about in prepared.items():
        about["speed"] = figure(min(sample["best"] for sample in samples[name]))
        about["median"] = figure(statistics.median(sample["median"] for sample in samples[name]))
        if name in pairs:
            about |= {"pairs": pairs[name], **summary(pairs[name])}
    return {
        "table": row.table,
        "name": row.name,
        "sizes": row.sizes,
        "threads": threads,
        "target": row.target if threads in row.target_threads else (None, None, None),
        "against": row.against,
        "unit": row.unit(),
        "peak": max((sample["peak"] / 1e9 for sample in samples["octet"] if "peak" in sample), default=None),
        "engines": prepared,
    }


def prepare(row, threads, engines, arguments, folder):
    """What every engine that has one says of its fastest form, and the share of its result that is wrong."""
    problem = problem_of(row, arguments.input_zero)
    expected = problem.expected()
    result = folder / "result.npy"
    prepared = {}
    for name, engine in engines.items():
        question = {"row": f"{row.table} {row.name}", "threads": threads, "seconds": arguments.seconds / 4}
        answer = engine.ask(do="prepare", **question, result=str(result))
        if answer["form"] is None:
            continue
        prepared[name] = answer
        prepared[name]["wrong"] = problem.wrong(np.load(result).reshape(expected.shape), expected)
    return prepared


main()
