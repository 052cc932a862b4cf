"""ONNX Runtime: networks of one node, with their operands bound."""

import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


class Job:
    def __init__(self, session, x, result_shape, finish):
        self.session, self.finish = session, finish
        self.binding = session.io_binding()
        self.binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x)))
        self.result = onnxruntime.OrtValue.ortvalue_from_shape_and_type(result_shape, np.uint8, "cpu")
        self.binding.bind_ortvalue_output("y", self.result)

    def run(self, count):
        run, binding = self.session.run_with_iobinding, self.binding
        start = time.perf_counter()
        for _ in range(count):
            run(binding)
        return time.perf_counter() - start

    def output(self):
        return self.finish(self.result.numpy())


class Engine:
    title = "ONNX Runtime"
    # Of the forms of a convolution, the one without channels-last is listened to by `x64quantprecision`.
    settings = {}

    def __init__(self, isa):
        self.version = onnxruntime.__version__

    def session(self, node, operands, x_shape, y_shape, threads):
        graph = helper.make_graph(
            [node],
            "row",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, x_shape)],
            [helper.make_tensor_value_info("y", TensorProto.UINT8, y_shape)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in operands.items()],
        )
        sets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        for key, value in self.settings.items():
            options.add_session_config_entry(key, value)
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def forms(self, row, problem, threads):
        scales = {
            "x_scale": np.float32(problem.input_scale),
            "x_zero": np.uint8(problem.input_zero),
            "w_scale": problem.weight_scale,
            "w_zero": np.zeros(len(problem.weight_scale), np.int8),
            "y_scale": np.float32(problem.output_scale),
            "y_zero": np.uint8(problem.output_zero),
        }
        return self.gemm(row, problem, scales, threads) if row.kind == "gemm" else self.conv(row, problem, scales, threads)

    def gemm(self, row, problem, scales, threads):
        m, n, _ = row.sizes
        operands = {"w": np.ascontiguousarray(problem.weights.T), **scales}
        tail = ["w_scale", "w_zero"]
        product = helper.make_node(
            "QLinearMatMul", ["x", "x_scale", "x_zero", "w", *tail, "y_scale", "y_zero"], ["y"]
        )
        qgemm = helper.make_node(
            "QGemm", ["x", "x_scale", "x_zero", "w", *tail, "", "y_scale", "y_zero"], ["y"], domain=MICROSOFT
        )
        return {
            name: Job(
                self.session(node, operands, list(problem.x.shape), [m, n], threads), problem.x, [m, n], lambda y: y
            )
            for name, node in {"QLinearMatMul": product, "QGemm": qgemm}.items()
        }

    def conv(self, row, problem, scales, threads):
        c = row.convolution()
        names = ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias"]
        attributes = {
            "kernel_shape": [c.kernel] * 2,
            "strides": [c.stride] * 2,
            "pads": [c.pad] * 4,
            "group": c.groups,
        }
        operands = {"w": problem.weights, "bias": problem.bias, **scales}
        first_nchw, first_shape = np.moveaxis(problem.x, 3, 1), [1, c.outputs, c.out, c.out]
        last_shape = [1, c.out, c.out, c.outputs]
        plain = helper.make_node("QLinearConv", names, ["y"], **attributes)
        last = helper.make_node("QLinearConv", names, ["y"], domain=MICROSOFT, channels_last=1, **attributes)
        return {
            "QLinearConv NHWC": Job(
                self.session(last, operands, list(problem.x.shape), last_shape, threads),
                problem.x, last_shape, lambda y: y,
            ),
            "QLinearConv": Job(
                self.session(plain, operands, list(first_nchw.shape), first_shape, threads),
                first_nchw, first_shape, lambda y: np.moveaxis(y, 1, 3),
            ),
        }  # fmt: skip
