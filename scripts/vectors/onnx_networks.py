"""Makes onnx_networks.safetensors: the networks of Examples/Data in ONNX Runtime, each with inputs and its outputs."""

import pathlib

import numpy as np
import onnxruntime
import torch

from common import Family, numbers

family = Family("onnx_networks")
data = pathlib.Path(__file__).resolve().parents[2] / "Examples" / "Data"


def main():
    add("digits_cnn", {"x": values("digits", 3, 1, 8, 8)})
    add("fmnist_cnn", {"x": values("fmnist", 2, 1, 28, 28)})
    add("ppocr_mobile_v2_cls", {"x": values("text", 1, 3, 48, 192)}, dimensions={"x.2": 48, "x.3": 192})
    state = np.zeros((1, 1, 128), np.float32)
    add("silero_vad_16k_sequence", {"input": values("speech", 5, 576) - 0.5, "h": state, "c": state + 0.125})
    family.write()


def values(case, *shape):
    """0 to 1 in steps of 1/16: few bits, so that the file stays small when it is packed."""
    return numbers(case).integers(0, 17, shape).astype(np.float32) / 16


def add(case, inputs, dimensions={}):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data / f"{case}.onnx", options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, inputs)
    fields = {f"input/{name}": torch.from_numpy(value.astype(np.float32)) for name, value in inputs.items()}
    names = [output.name for output in session.get_outputs()]
    fields |= {f"output/{name}": torch.from_numpy(value) for name, value in zip(names, outputs)}
    family.add(case, {"dimensions": dimensions}, fields)


main()
