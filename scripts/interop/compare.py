"""Compares Octet's ONNX files with their originals and with Octet's own outputs, in ONNX Runtime."""

import collections
import pathlib
import sys

import numpy
import onnx
import onnxruntime

folder = pathlib.Path(sys.argv[1])
data = pathlib.Path("Examples/Data")
failures = []


def session(path, optimized=None, exact=True):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    # Sums of bytes saturate on CPUs without dot products of bytes, unless asked not to.
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    # Products with weights of four bits would round their operand to bytes.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if optimized:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def check(path):
    onnx.checker.check_model(str(path), full_check=True)


def require(condition, what):
    if not condition:
        failures.append(what)


def inputs_of(model, seed):
    """Random inputs, unknown sizes as small numbers."""
    random = numpy.random.default_rng(seed)
    feeds = {}
    for value in model.get_inputs():
        known = {2: 48, 3: 192} if model.get_inputs()[0].name == "x" and len(value.shape) == 4 else {}
        shape = [size if isinstance(size, int) else known.get(axis, 3) for axis, size in enumerate(value.shape)]
        if value.type == "tensor(float)":
            feeds[value.name] = random.standard_normal(shape).astype(numpy.float32)
        else:
            feeds[value.name] = numpy.full(shape, 16000, numpy.int64)
    return feeds


print("Float files, read and written again, against the originals (largest difference / largest output):")
for name in ["digits_cnn", "fmnist_cnn", "silero_vad_16k_sequence", "ppocr_mobile_v2_cls"]:
    path = folder / f"{name}-float.onnx"
    check(path)
    written, original = session(path), session(data / f"{name}.onnx")
    worst = 0.0
    for seed in range(3):
        feeds = inputs_of(written, seed)
        for found, expected in zip(written.run(None, feeds), original.run(None, feeds)):
            worst = max(worst, float(numpy.abs(found - expected).max() / max(numpy.abs(expected).max(), 1e-30)))
    print(f"  {name}: {worst:.2e}")
    require(worst <= 1e-5, f"{name}: float outputs differ by {worst:.2e}")

print("Quantized files: ONNX Runtime against Octet, in steps of the last scale (static) or relative (others):")
expected_kernels = {
    "static": {"QLinearConv", "QGemm"}, "dynamic": {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"},
    "int4": {"MatMulNBits"},
}
for name in ["digits_cnn", "fmnist_cnn"]:
    for kind in ["static", "dynamic", "int4"]:
        path = folder / f"{name}-{kind}.onnx"
        check(path)
        optimized = folder / "optimized.onnx"
        model = session(path, optimized)
        kernels = collections.Counter(node.op_type for node in onnx.load(str(optimized)).graph.node)
        value = model.get_inputs()[0]
        x = numpy.fromfile(folder / f"{name}.f32", numpy.float32).reshape([-1, *value.shape[1:]])
        found = model.run(None, {value.name: x})[0]
        ours, engine = (
            numpy.fromfile(folder / f"{name}-{kind}{suffix}.f32", numpy.float32).reshape(found.shape)
            for suffix in ["", "-engine"])
        agree = (found.argmax(-1) == ours.argmax(-1)).mean()
        if kind == "static":
            graph = onnx.load(str(path)).graph
            last = next(node for node in reversed(graph.node) if node.op_type == "QuantizeLinear")
            scale = next(
                onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name == last.input[1])
            steps = numpy.rint(numpy.abs(found - ours) / scale).astype(int)
            tally = sorted(collections.Counter(steps.ravel().tolist()).items())
            counts = ", ".join(f"{step}: {count}" for step, count in tally)
            print(f"  {name} {kind}: steps {{{counts}}}, same class {agree:.4f}, {path.stat().st_size} bytes")
            require(steps.max() <= 3, f"{name} {kind}: {steps.max()} steps")
        else:
            worst = float(numpy.abs(found - ours).max() / numpy.abs(ours).max())
            compiled = float(numpy.abs(engine - ours).max() / numpy.abs(ours).max())
            print(
                f"  {name} {kind}: {worst:.2e} (Octet's engine: {compiled:.2e}), same class {agree:.4f}, "
                f"{path.stat().st_size} bytes")
            require(worst <= (1e-5 if kind == "int4" else 0.02), f"{name} {kind}: outputs differ by {worst:.2e}")
        print(f"    kernels: {dict(kernels)}")
        require(agree == 1 or kind == "dynamic", f"{name} {kind}: other classes")
        require(expected_kernels[kind] & set(kernels), f"{name} {kind}: no kernel of {expected_kernels[kind]}")

name = "silero_vad_16k_sequence"
path = folder / f"{name}-dynamic.onnx"
check(path)
optimized = folder / "optimized.onnx"
model = session(path, optimized)
feeds = {
    value.name: numpy.fromfile(folder / f"{name}-{value.name}.f32", numpy.float32).reshape(
        [size if isinstance(size, int) else -1 for size in value.shape])
    for value in model.get_inputs()}
found = model.run(None, feeds)[0]
ours = numpy.fromfile(folder / f"{name}-dynamic.f32", numpy.float32).reshape(found.shape)
difference = numpy.abs(found - ours)
limits = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
counts = ", ".join(f"{int((difference <= limit).sum())} within {limit:.0e}" for limit in limits)
print(f"  {name}, LSTM in integers: of {difference.size} probabilities {counts}; {path.stat().st_size} bytes")
# One rounding that turns out otherwise goes on through the states.
require(difference.max() <= 0.01, f"{name}: outputs differ by {difference.max():.2e}")
kernels = {node.op_type for node in onnx.load(str(optimized)).graph.node}
require("DynamicQuantizeLSTM" in kernels, f"{name}: no DynamicQuantizeLSTM")

print("Recurrent layers that quantize while they run (largest difference; ONNX Runtime has integers for some LSTMs only):")
for path in sorted(folder.glob("recurrent-*.onnx")):
    check(path)
    model = session(path, optimized)
    kernels = {node.op_type for node in onnx.load(str(optimized)).graph.node} & {"LSTM", "GRU", "DynamicQuantizeLSTM"}
    x = numpy.fromfile(path.with_suffix(".x.f32"), numpy.float32).reshape([9, 3, 20])
    found = model.run(None, {model.get_inputs()[0].name: x})[0]
    ours = numpy.fromfile(path.with_suffix(".f32"), numpy.float32).reshape(found.shape)
    worst = float(numpy.abs(found - ours).max())
    print(f"  {path.stem}: {worst:.2e}, {', '.join(kernels)}")
    is_integer = path.stem.endswith("lstm-tensor")
    require(kernels == {"DynamicQuantizeLSTM" if is_integer else path.stem.split("-")[1].upper()}, f"{path.stem}: {kernels}")
    require(worst <= (0.005 if is_integer else 0.05), f"{path.stem}: outputs differ by {worst:.2e}")

small = sorted(folder.glob("small-*.onnx"))
refused = []
for path in small:
    try:
        check(path)
        for exact in [False, True]:
            session(path, exact=exact)
    except Exception as error:  # Whatever either of them says.
        refused.append(f"{path.name} ({onnx.load(str(path)).doc_string}): {str(error)[:200]}")
print(f"  small networks that ONNX's checker and ONNX Runtime take: {len(small) - len(refused)} of {len(small)}")
require(small, "no small networks")
failures.extend(refused)

if failures:
    print("FAILED:", *failures, sep="\n  ")
    sys.exit(1)
print("Everything agrees.")
