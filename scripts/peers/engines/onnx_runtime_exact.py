"""ONNX Runtime with the setting that makes its products exact where the CPU has no 8-bit dot product."""

from engines import onnx_runtime


class Engine(onnx_runtime.Engine):
    title = "ONNX Runtime, exact"
    # Not every operator listens to the setting.
    settings = {"session.x64quantprecision": "1"}
    exact = True
