"""What the comparisons share: the summary of interleaved pairs, and the name of the CPU."""

import math
import pathlib
import platform
import re
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def summary(ratios):
    """The median and an interval that holds the true median with a probability of at least 90 %, by order statistics."""
    ordered = sorted(ratios)
    cut = values_outside(len(ordered))
    return {"ratio": statistics.median(ordered), "low": ordered[cut], "high": ordered[-1 - cut]}


def values_outside(count):
    """How many of the smallest and of the largest values the interval leaves out: each tail has at most 5 %."""
    cut, tail = 0, 2**-count
    while tail + math.comb(count, cut + 1) * 2**-count <= 0.05:
        cut += 1
        tail += math.comb(count, cut) * 2**-count
    return cut


def cpu_name():
    """The name that the operating system gives the CPU, else that of its architecture."""
    if name := cpu_field("model name"):
        return name
    if platform.system() == "Darwin":
        return subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True).stdout.strip()
    return platform.machine()


def cpu_kind():
    """A short name for the kind of CPU, fit for a file: its generation where that is known, else its name."""
    family, model = (int(cpu_field(name) or 0) for name in ["cpu family", "model"])
    if cpu_field("vendor_id") == "AuthenticAMD":
        if family == 26:
            return "zen5"
        if family == 25:
            return "zen4" if 0x10 <= model < 0x20 or 0x60 <= model < 0x80 or 0xA0 <= model < 0xB0 else "zen3"
        if family == 23:
            return "zen2" if model >= 0x30 else "zen1"
    return re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")


def cpu_features():
    return set((cpu_field("flags") or cpu_field("Features") or "").split())


def cpu_field(name):
    """The first value of that name in /proc/cpuinfo; None where there is none."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return None
