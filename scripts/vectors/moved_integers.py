"""Makes moved_integers.safetensors: models whose integers are moved about between two integer layers in every way that
ONNX has for uint8 and int8, as ONNX Runtime's quantizer leaves them in its QOperator form.

Fields: the bytes of the model, an input, and ONNX Runtime's output of it. Weights are so small that no sum saturates.
"""

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper

from common import Family, numbers

family = Family("moved_integers")


class Model:
    """A chain of operators, each of the result of the one before."""

    def __init__(self):
        self.nodes = []
        self.constants = []
        self.last = "x"

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind, *operands, outputs=1, others=(), **attributes):
        """Operands are constants; those before the chain's own value are named in `others`."""
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        inputs = [*others, self.last] + [o if isinstance(o, str) else self.constant(o) for o in operands]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        self.last = names[0]
        return names


def moving(random, dtype):
    model = Model()
    zero, scale = dtype(-8 if dtype == np.int8 else 120), np.float32(0.0513)

    def ints(*numbers):
        return np.array(numbers, np.int64)

    def weight(*shape):
        return random.integers(-30, 31, shape).astype(np.int8)

    def stack(*shape):
        return random.integers(100, 120, shape).astype(dtype)

    model.add("QuantizeLinear", np.float32(1 / 16), dtype(0))
    model.add(
        "QLinearConv", np.float32(1 / 16), dtype(0), weight(4, 1, 3, 3), np.float32(0.0193), np.int8(0), scale, zero,
        random.integers(-900, 900, 4).astype(np.int32), pads=[1, 1, 1, 1])
    model.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])  # [n, 4, 4, 4]
    model.add("Transpose", perm=[0, 2, 3, 1])
    model.add("Pad", ints(0, 1, 0, 0, 0, 0, 1, 0), dtype(zero + 5))  # [n, 5, 5, 4]
    model.add("Slice", ints(4, 0), ints(-9, 4), ints(1, 2), ints(-1, 1))  # [n, 5, 4, 4]
    model.add("Transpose", perm=[0, 3, 1, 2])
    model.add(
        "Resize", "", np.array([1, 1, 2, 1], np.float32), mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric")  # [n, 4, 10, 4]
    upper, lower = model.add("Split", ints(2, 2), outputs=2, axis=1)
    model.last = lower
    model.add("Concat", upper, axis=1)
    model.add("Gather", ints(3, 0, 2, 1), axis=1)
    model.add("Pad", ints(0, 0, 0, 1, 0, 0, 0, 1), mode="reflect")  # [n, 4, 10, 6]
    model.add("Unsqueeze", ints(0))
    model.add("Squeeze", ints(0))
    model.add("Concat", model.constant(stack(3, 4, 2, 6)), axis=2)  # [3, 4, 12, 6], so n = 3
    model.add("Where", model.constant(stack(12, 6)), others=[model.constant(random.integers(0, 2, (12, 6)) == 1)])
    model.add("DepthToSpace", blocksize=2)  # [3, 1, 24, 12]
    model.add("SpaceToDepth", blocksize=2)
    model.add(
        "QLinearConv", scale, zero, weight(2, 4, 3, 3), np.float32(0.0193), np.int8(0), np.float32(0.0807), dtype(7))
    model.add("Flatten")  # [3, 2 · 10 · 4]
    model.add("Reshape", ints(0, 8, 10))
    model.add("Expand", ints(2, 3, 8, 10))
    model.add("Tile", ints(1, 1, 1, 2))  # [2, 3, 8, 20]
    model.add(
        "QLinearMatMul", np.float32(0.0807), dtype(7), weight(20, 5), np.float32(0.0193), np.int8(0),
        np.float32(0.1537), zero)
    model.add("DequantizeLinear", np.float32(0.1537), zero)
    output = helper.make_tensor_value_info(model.last, onnx.TensorProto.FLOAT, [2, 3, 8, 5])
    graph = helper.make_graph(
        model.nodes, "moving", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3, 1, 8, 8])], [output],
        model.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main():
    for name, dtype in [("unsigned", np.uint8), ("signed", np.int8)]:
        random = numbers(name)
        model = moving(random, dtype)
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        x = random.integers(0, 17, (3, 1, 8, 8)).astype(np.float32) / 16
        fields = {"model": np.frombuffer(data, np.uint8).copy(), "x": x, "y": session.run(None, {"x": x})[0]}
        family.add(name, {}, {field: torch.from_numpy(value) for field, value in fields.items()})
    family.write()


main()
