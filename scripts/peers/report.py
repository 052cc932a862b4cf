"""Tables of the comparison: on the terminal while it runs, and in files afterwards."""

import json
import math

from common import summary
from picture import picture
from rows import GOALS

EXACT = "onnx_runtime_exact"
COLUMNS = ["", "fast", "exact"]

TITLES = {
    "gemm": "GEMM (M,N,K), uint8 × int8 → uint8, bell-shaped weights, GMAC/s",
    "gemm-uniform": "GEMM (M,N,K), uint8 × int8 → uint8, flat weights, GMAC/s",
    "convolution": "Convolution, batch 1, uint8 × int8 → uint8, GMAC/s",
    "depthwise": "Depthwise convolution, batch 1, uint8 × int8 → uint8, GMAC/s",
    "observe": "Observers and quantization, 10 million floats, GB/s of them (peak: reading alone)",
    "call": "The smallest GEMM (M,N,K), nanoseconds of a call (from C, but for ONNX Runtime and PyTorch)",
    "layout": "Bytes of an image, NCHW → NHWC, GB/s",
    "float": "GEMM (M,N,K), float32, without a BLAS of others, GMAC/s",
}


# MARK: - Which figures count


def columns(run):
    """Which of the three targets are asked on this instruction set: with a byte dot product, else against fast and exact."""
    return [1, 2] if run["isa"] in ["scalar", "avx2", "neon"] else [0]


def best_peer(result, column=0):
    """The peer against which the ratio counts: the fastest, or the one that the row or the column `exact` names."""
    only = EXACT if column == 2 else result["against"]
    peers = [name for name in result["engines"] if name != "octet" and only in (None, name)]
    return min(peers, key=lambda name: result["engines"][name]["ratio"], default=None)


def verdict(figures, target):
    """A target is missed only if the whole interval lies below it."""
    if figures["ratio"] >= target:
        return "met"
    return "within the interval" if figures["high"] >= target else "missed"


def row_verdicts(result, run):
    if result["engines"]["octet"]["wrong"]:
        yield "ours is wrong"
        return
    for column in columns(run):
        target, best = result["target"][column], best_peer(result, column)
        if target and best:
            yield f"{COLUMNS[column]} ≥ {target}: {verdict(result['engines'][best], target)}".strip()


def goal_verdicts(table, threads, run):
    for goal in GOALS:
        for column in columns(run):
            target = goal.target[column]
            results = goal.rows(run["rows"], column)
            if goal.what == "mean":
                results = [r for r in results if best_peer(r, column)]
            if (goal.table, goal.threads) == (table, threads) and target and results:
                yield f"{COLUMNS[column]} {goal_text(goal, target, results, column, run)}".strip()


def goal_text(goal, target, results, column, run):
    count = f"{len(results)} row{'s' if len(results) > 1 else ''}"
    if goal.what == "mean":
        pairs = [r["engines"][best_peer(r, column)]["pairs"] for r in results]
        mean = summary([math.exp(sum(map(math.log, ratios)) / len(ratios)) for ratios in zip(*pairs)])
        interval = f"{mean['ratio']:.3f} ({mean['low']:.3f} – {mean['high']:.3f})"
        return f"geometric mean of {count}: {interval}; ≥ {target}: {verdict(mean, target)}"
    if goal.what == "peak":
        least = min(results, key=share_of_peak)
        share = share_of_peak(least)
        met = "met" if share >= target else "missed"
        return f"least share of the peak, {count}: {share:.3f} ({least['name']}); ≥ {target}: {met}"
    if goal.what == "figure":
        most = max(map(ours, results))
        return f"{most:.0f} {results[0]['unit']}; ≤ {target}: {'met' if most <= target else 'missed'}"
    alone = {r["name"]: r for r in run["rows"] if (r["table"], r["threads"]) == (goal.table, 1)}
    gains = {r["name"]: ours(r) / ours(alone[r["name"]]) for r in results if r["name"] in alone}
    if not gains:
        return "no figures of 1 thread"
    least = min(gains, key=gains.get)
    met = "met" if gains[least] >= target else "missed"
    return f"least gain over 1 thread, {count}: {gains[least]:.2f} ({least}); ≥ {target}: {met}"


def ours(result):
    return result["engines"]["octet"]["speed"]


def share_of_peak(result):
    return ours(result) / result["peak"]


# MARK: - Terminal


def print_table_start(table, threads, columns, run):
    print(f"\n{heading(table, threads)}")
    names = titles_of(columns, run)
    print(f"{'':24}{'peak':>7}" + "".join(f"{name:>14}" for name in names) + "   ours / best  90 % interval")


def print_row(result, columns, run):
    line = f"{result['name']:24}{peak_text(result):>7}"
    line += "".join(f"{speed_text(result['engines'].get(name)):>14}" for name in columns)
    if best := best_peer(result):
        figures = result["engines"][best]
        line += f"{figures['ratio']:14.3f}  {figures['low']:.3f} – {figures['high']:.3f}"
    print("   ".join([line, *row_verdicts(result, run)]), flush=True)


def print_table_end(table, threads, run):
    for text in goal_verdicts(table, threads, run):
        print(text)


def peak_text(result):
    return f"{result['peak']:.1f}" if result["peak"] else "–"


def heading(table, threads):
    return f"{TITLES[table]}; {threads} thread{'s' if threads > 1 else ''}"


def speed_text(engine):
    if engine is None:
        return "–"
    return f"{engine['speed']:.1f}" + (f" ✗{share_text(engine['wrong'])}" if engine["wrong"] else "")


def share_text(share):
    return f"{share:.0%}" if share >= 0.01 else "<1%"


def titles_of(columns, run):
    return [run["engines"][name]["title"].replace("ONNX Runtime", "ORT") for name in columns]


# MARK: - Files


def write_results(run, folder):
    """NAME.md, NAME.json and a picture for each table, NAME being the kind of CPU and the instruction set."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{run['kind']}-{run['isa']}"
    (folder / f"{name}.json").write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n")
    parts = [introduction(run)]
    for table, threads in dict.fromkeys((r["table"], r["threads"]) for r in run["rows"]):
        results = [r for r in run["rows"] if (r["table"], r["threads"]) == (table, threads)]
        file = f"{name}-{table}-{threads}.svg"
        columns = [name for name in run["engines"] if any(name in r["engines"] for r in results)]
        titles = {name: run["engines"][name]["title"] for name in columns}
        (folder / file).write_text(picture(heading(table, threads), results, titles))
        parts.append(section(table, threads, results, columns, file, run))
    (folder / f"{name}.md").write_text("\n".join(parts))


def introduction(run):
    engines = ", ".join(f"{e['title']} {e['version']}" for n, e in run["engines"].items() if n != "octet")
    held = f" Ours and the peers were held to {run['restricted']}." if run["restricted"] else ""
    return f"""# {run['cpu']} ({run['kind']}), {run['isa']}

Made by `scripts/bench-peers kernels` on {run['date']}; its help says how. {engines}; {run['pairs']} interleaved pairs for
each figure.{held} GMAC/s: best of the run; *ratio*: ours / the best peer of the row, the median of its pairs with a
90 % interval. ✗: the share of bytes that are off by more than one.
"""


def section(table, threads, results, columns, file, run):
    titles = titles_of(columns, run)
    lines = [f"## {heading(table, threads)}", "", f"![{heading(table, threads)}]({file})", ""]
    lines += [
        "| | peak | " + " | ".join(titles) + " | ratio | 90 % | wanted |",
        "| --- |" + " ---: |" * (len(titles) + 3) + " --- |",
    ]
    for result in results:
        cells = [result["name"], peak_text(result)]
        cells += [speed_text(result["engines"].get(name)) for name in columns]
        best = best_peer(result)
        figures = result["engines"][best] if best else None
        cells += [f"{figures['ratio']:.2f}", f"{figures['low']:.2f} – {figures['high']:.2f}"] if best else ["–", "–"]
        lines.append("| " + " | ".join([*cells, "; ".join(row_verdicts(result, run))]) + " |")
    lines += ["", *(f"* {text}" for text in goal_verdicts(table, threads, run)), ""]
    return "\n".join(lines)
