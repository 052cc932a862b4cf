"""ONNX's tests of single operators, read and written again by Octet, in ONNX Runtime against the originals.

    roundtrips.py OCTET FOLDER    OCTET: the command; FOLDER: for files

The tests are those of the package onnx. Operands that Octet must know while reading become constants of the model
first, as few as possible. What Octet does not read or write is not compared. Where ONNX Runtime does not run the
original, or gives something else than the test states, the stated result takes its place. Real results may differ by
1e-5 of the largest one (and by what rounding to 16 bits does, if they are of so many), all others not at all.
"""

import collections
import concurrent.futures
import os
import pathlib
import subprocess
import sys

import ml_dtypes
import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

octet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
tests = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
onnxruntime.set_default_logger_severity(4)
numpy_types = {
    "tensor(float)": numpy.float32, "tensor(int64)": numpy.int64, "tensor(int32)": numpy.int32,
    "tensor(bool)": numpy.bool_, "tensor(uint8)": numpy.uint8, "tensor(int8)": numpy.int8,
    "tensor(uint16)": numpy.uint16, "tensor(int16)": numpy.int16}


def tensors(name, values, kind):
    """The test's tensors by name; `None` if one is something else."""
    if any(value.type.WhichOneof("value") != "tensor_type" for value in values):
        return None
    paths = [tests / name / "test_data_set_0" / f"{kind}_{i}.pb" for i in range(len(values))]
    return {v.name: numpy_helper.to_array(onnx.load_tensor(str(p))) for v, p in zip(values, paths)}


class Case:
    """A test as Octet reads it, if it does."""

    def __init__(self, name):
        self.name = name
        self.model = onnx.load(str(tests / name / "model.onnx"))
        self.written = None
        feeds, self.stated = (
            tensors(name, values, kind)
            for values, kind in [(self.model.graph.input, "input"), (self.model.graph.output, "output")])
        # ONNX Runtime's Python has no other values.
        if feeds is None or self.stated is None or any(
            x.dtype.kind in "OSU" or "int4" in x.dtype.name for x in [*feeds.values(), *self.stated.values()]
        ):
            return
        for known in self.choices(feeds):
            if self.convert({key: feeds[key] for key in known}):
                self.feeds = {key: x for key, x in feeds.items() if key not in known}
                return

    def choices(self, feeds):
        """Which inputs are constants: none, all whole numbers and truth values, all but the first, all."""
        names = list(feeds)
        whole = [key for key in names if feeds[key].dtype.kind in "iub"]
        choices = []
        for choice in [[], whole, names[1:], names]:
            if choice not in choices:
                choices.append(choice)
        return choices

    def convert(self, constants):
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        kept = [value for value in model.graph.input if value.name not in constants]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.graph.initializer.extend(numpy_helper.from_array(x, key) for key, x in constants.items())
        original, written = folder / f"{self.name}-original.onnx", folder / f"{self.name}.onnx"
        onnx.save(model, str(original))
        done = subprocess.run([octet, "convert", str(original), str(written)], capture_output=True)
        if done.returncode < 0:
            raise RuntimeError(f"{self.name}: octet ended by signal {-done.returncode}")
        if done.returncode == 0:
            self.original, self.written = original, written
        return done.returncode == 0

    def difference(self):
        """The largest one, and what it was compared with."""
        found = outputs(self.written, self.feeds)
        stated = list(self.stated.values())
        try:
            expected = outputs(self.original, self.feeds)
        except Exception:  # Whatever ONNX Runtime says.
            return worst(found, stated), "stated"
        result = worst(found, expected)
        if result > 1e-5 and worst(expected, stated) > 1e-3:
            return worst(found, stated), "stated"
        return result, "original"


def outputs(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    model = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # Octet makes other numbers of floating point float32, unsigned ones of many bits int64.
    given = {}
    for value in model.get_inputs():
        x = feeds[value.name]
        is_own = path.name.endswith("-original.onnx")
        given[value.name] = x if is_own else x.astype(numpy_types[value.type])
    return model.run(None, given)


def worst(found, expected):
    return max(map(relative, found, expected), default=0.0) if len(found) == len(expected) else numpy.inf


def relative(found, expected):
    """0 for the same; of real numbers relative to the largest."""
    found, expected = numpy.asarray(found), numpy.asarray(expected)
    if found.shape != expected.shape:
        return numpy.inf
    if expected.dtype.kind in "iub":
        return 0.0 if numpy.array_equal(found.astype(expected.dtype), expected) else numpy.inf
    a, b = found.astype(numpy.float64), expected.astype(numpy.float64)
    differ = ~((a == b) | (numpy.isnan(a) & numpy.isnan(b)))
    if not differ.any():
        return 0.0
    if not (numpy.isfinite(a[differ]).all() and numpy.isfinite(b[differ]).all()):
        return numpy.inf
    result = float(numpy.abs(a[differ] - b[differ]).max() / max(numpy.abs(b[numpy.isfinite(b)]).max(), 1e-30))
    # What was rounded to fewer bits cannot be nearer.
    step = float(ml_dtypes.finfo(expected.dtype).eps)
    return result if step < 1e-6 else max(result - step, 0.0)


with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    cases = list(pool.map(Case, sorted(path.name for path in tests.iterdir() if (path / "model.onnx").exists())))
differences, failures = {}, []
for case in [case for case in cases if case.written]:
    try:
        differences[case.name] = case.difference()
    except Exception as error:  # Whatever ONNX Runtime says.
        failures.append(f"{case.name}: {str(error)[:200]}")
failures += [f"{name}: {number:.2e} ({by})" for name, (number, by) in differences.items() if not number <= 1e-5]
sizes = collections.Counter(
    "the same" if number == 0 else "up to 1e-7" if number <= 1e-7 else "up to 1e-6" if number <= 1e-6 else "up to 1e-5"
    for number, _ in differences.values() if number <= 1e-5)
print(
    f"ONNX's tests of operators, read and written again: {len(differences)} of {len(cases)} compared; "
    + ", ".join(f"{sizes[size]} {size}" for size in ["the same", "up to 1e-7", "up to 1e-6", "up to 1e-5"])
    + f"; {sum(by == 'stated' for _, by in differences.values())} by the stated results")
if len(differences) < 1100:
    failures.append(f"only {len(differences)} compared")
if failures:
    print("FAILED:", *failures, sep="\n  ")
    sys.exit(1)
