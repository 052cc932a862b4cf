"""Makes onnx_quantized.safetensors: the digits network as ONNX Runtime's quantizer writes it in each of its forms.

Fields: the bytes of the model, an input, and ONNX Runtime's output of it.
"""

import pathlib
import tempfile

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from common import Family, numbers

family = Family("onnx_quantized")
source = pathlib.Path(__file__).resolve().parents[2] / "Examples" / "Data" / "digits_cnn.onnx"


class Images(CalibrationDataReader):
    def __init__(self):
        self.images = iter(numbers("calibration").integers(0, 17, (32, 1, 1, 8, 8)).astype(np.float32) / 16)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"x": image}


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "q.onnx"
        for name, form, options in [
            ("qdq_channels", QuantFormat.QDQ, {"per_channel": True}),
            ("qdq_tensor_signed", QuantFormat.QDQ, {"activation_type": QuantType.QInt8}),
            ("qoperator", QuantFormat.QOperator, {"per_channel": True}),
        ]:
            options = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8} | options
            quantize_static(source, path, Images(), quant_format=form, **options)
            add(name, path)
        quantize_dynamic(source, path, weight_type=QuantType.QInt8)
        add("dynamic", path)
    family.write()


def add(name, path):
    # QDQ as it is defined, node by node; the others without the products that saturate where a CPU has no exact ones.
    options = onnxruntime.SessionOptions()
    if name.startswith("qdq"):
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = numbers("images").integers(0, 17, (4, 1, 8, 8)).astype(np.float32) / 16
    fields = {"model": np.frombuffer(path.read_bytes(), np.uint8).copy(), "x": x, "y": session.run(None, {"x": x})[0]}
    family.add(name, {}, {field: torch.from_numpy(value) for field, value in fields.items()})


main()
