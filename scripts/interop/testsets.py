"""Int8 files of the four example networks on whole test sets: Octet's outputs and ONNX Runtime's, in steps.

    testsets.py OCTET FOLDER DATA    OCTET: the command; FOLDER: for files; DATA: where the .npz with the images are

Both run the same file, one sample at a time. An output is compared in steps of the scale that it is quantized with. ONNX
Runtime runs it twice: as it is by default, but with `session.x64quantprecision=1`, and once more without
`NhwcTransformer`, whose integer convolutions saturate on CPUs without dot products of bytes whatever that setting says.
What differs between the two is counted as saturated.
"""

import collections
import pathlib
import subprocess
import sys

import numpy
import onnx
import onnxruntime

octet, folder, data = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
networks = pathlib.Path("Examples/Data")
demo = pathlib.Path("Sources/OctetCLI/Resources")
failures = []


def images(name, *, scale, offset=0.0, channels=1, part=slice(None)):
    stored = numpy.load(next(path for folder in (data, demo) if (path := folder / name).exists()))
    x = (stored["images"][part].astype(numpy.float32) / scale - offset) / (offset or 1)
    return numpy.repeat(x[:, None], channels, 1), stored["labels"][part]


def digits(part):
    return images("digits.npz", scale=16, part=part)


def text(name):
    return images(name, scale=255, offset=0.5, channels=3)


# Calibration, test, options of `octet quantize`.
sets = {
    "digits_cnn": (lambda: digits(slice(256)), lambda: digits(slice(-500, None)), []),
    "fmnist_cnn": (
        lambda: images("fashion-mnist-calibration-256.npz", scale=255),
        lambda: images("fashion-mnist-test-1k.npz", scale=255), []),
    "ppocr_mobile_v2_cls": (
        lambda: text("text-direction-calibration-64.npz"), lambda: text("text-direction-test-200.npz"),
        ["--dimension", "x.2=48", "--dimension", "x.3=192"]),
}


def session(path, exact):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"],
        disabled_optimizers=["NhwcTransformer"] if exact else None)


def run(*arguments):
    subprocess.run([octet, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def tally(steps):
    counts = collections.Counter(numpy.minimum(steps, 4).ravel().tolist())
    return [str(counts[i]) for i in range(4)] + [str(counts[4]), str(int(steps.max()))]


def row(*cells):
    print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(cells, [20, 7, 7, 7, 6, 6, 5, 5, 5, 8, 10])))


print("Int8 files on whole test sets: how many outputs are so many steps apart")
row("network", "right", "right,", "0", "1", "2", "3", "more", "most", "saturat-", "bytes")
row("", "(Octet)", "ORT", "", "", "", "", "", "", "ed in ORT", "")
for name, (calibration, test, options) in sets.items():
    try:
        (calibrating, _), (x, labels) = calibration(), test()
    except FileNotFoundError as error:
        print(f"  {name}: not compared, no {error.filename}")
        continue
    numpy.savez(folder / "calibration.npz", x=calibrating)
    numpy.savez(folder / "test.npz", x=x)
    path = folder / f"{name}-quantized.onnx"
    run(
        "quantize", networks / f"{name}.onnx", "--mode", "static", "--calibration", folder / "calibration.npz",
        "--output", path, *options)
    run("run", path, "--inputs", folder / "test.npz", "--output", folder / "ours.npz")
    results = numpy.load(folder / "ours.npz")
    ours = results[results.files[0]]
    graph = onnx.load(str(path)).graph
    last = next(node for node in reversed(graph.node) if node.op_type == "QuantizeLinear")
    scale = next(onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name == last.input[1])
    exact, usual = (
        numpy.concatenate([model.run(None, {"x": x[i:i + 1]})[0] for i in range(len(x))])
        for model in (session(path, True), session(path, False)))

    def steps(a, b):
        return numpy.rint(numpy.abs(a - b) / scale).astype(int)

    right = [float((y.argmax(-1) == labels).mean()) for y in (ours, exact)]
    saturated = int((steps(exact, usual) > 0).sum())
    row(name, *(f"{value:.4f}" for value in right), *tally(steps(ours, exact)), saturated, path.stat().st_size)
    if (ours.argmax(-1) != exact.argmax(-1)).mean() > 0.005:
        failures.append(f"{name}: other classes")

name = "silero_vad_16k_sequence"
frames = numpy.load(networks / "silero-frames.npz")
zeros = numpy.zeros([1, 1, 128], numpy.float32)
for kind in ["calibration", "test"]:
    (folder / kind).mkdir(exist_ok=True)
    stored = frames["calibration_frames" if kind == "calibration" else "frames"].astype(numpy.float32) / 32768
    numpy.savez(folder / kind / "0.npz", input=stored, h=zeros, c=zeros)
path = folder / f"{name}-quantized.onnx"
run("quantize", networks / f"{name}.onnx", "--mode", "dynamic", "--output", path)
run("run", path, "--inputs", folder / "test", "--output", folder / "ours")
ours = numpy.load(folder / "ours" / "0.npz")["speech_probs"]
theirs = session(path, True).run(["speech_probs"], dict(numpy.load(folder / "test" / "0.npz")))[0].reshape(ours.shape)
expected = frames["speech_probs"].reshape(ours.shape)
difference = numpy.abs(ours - theirs)
print(
    f"  {name}, dynamic: agree with the float network {((ours > .5) == (expected > .5)).mean():.4f} (Octet), "
    f"{((theirs > .5) == (expected > .5)).mean():.4f} (ONNX Runtime); probabilities "
    f"differ by {difference.mean():.4f} on average, {difference.max():.4f} at most; {path.stat().st_size} bytes")
if ((ours > .5) == (theirs > .5)).mean() < 0.99:
    failures.append(f"{name}: other decisions")

if failures:
    print("FAILED:", *failures, sep="\n  ")
    sys.exit(1)
