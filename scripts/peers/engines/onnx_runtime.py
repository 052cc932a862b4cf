"""ONNX Runtime: networks of one node, with their operands bound."""

import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
X, Y = ["x", "x_scale", "x_zero"], ["y_scale", "y_zero"]


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

    def session(self, node, operands, x, y_shape, threads):
        graph = helper.make_graph(
            [node],
            "row",
            [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
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

    def job(self, node, operands, x, y_shape, threads, finish=lambda y: y):
        return Job(self.session(node, operands, x, y_shape, threads), x, y_shape, finish)

    def layout(self, problem, threads):
        channels, size = problem.sizes
        node = helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])
        return {"Transpose": self.job(node, {}, problem.x[None], [1, size, size, channels], threads)}

    def quantize(self, problem, threads):
        operands = {"scale": problem.scale, "zero": np.full(len(problem.scale), problem.zero, np.uint8)}
        if not problem.by_channel:
            operands = {name: value[0] for name, value in operands.items()}
        node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"], axis=0)
        return {"QuantizeLinear": self.job(node, operands, problem.x, problem.x.shape, threads)}

    def gemm(self, problem, threads):
        m, n, _ = problem.sizes
        operands = {"w": np.ascontiguousarray(problem.weights.T), **self.scales(problem)}
        tail = ["w_scale", "w_zero"]
        qgemm = helper.make_node("QGemm", [*X, "w", *tail, "bias", *Y], ["y"], domain=MICROSOFT)
        if problem.bias is not None:
            return {"QGemm": self.job(qgemm, {**operands, "bias": problem.bias}, problem.x, [m, n], threads)}
        qgemm.input[6] = ""
        product = helper.make_node("QLinearMatMul", [*X, "w", *tail, *Y], ["y"])
        forms = {"QLinearMatMul": product, "QGemm": qgemm}
        return {name: self.job(node, operands, problem.x, [m, n], threads) for name, node in forms.items()}

    def conv(self, problem, threads):
        c = problem.convolution()
        names = [*X, "w", "w_scale", "w_zero", *Y, "bias"]
        across = {"kernel_shape": [c.kernel] * 2, "strides": [c.stride] * 2, "pads": [c.pad] * 4, "group": c.groups}
        operands = {"w": problem.weights, "bias": problem.bias, **self.scales(problem)}
        plain = helper.make_node("QLinearConv", names, ["y"], **across)
        last = helper.make_node("QLinearConv", names, ["y"], domain=MICROSOFT, channels_last=1, **across)
        nhwc, nchw = (c.batch, c.out, c.out, c.outputs), (c.batch, c.outputs, c.out, c.out)
        x_nchw = np.ascontiguousarray(np.moveaxis(problem.x, 3, 1))
        return {
            "QLinearConv NHWC": self.job(last, operands, problem.x, nhwc, threads),
            "QLinearConv": self.job(plain, operands, x_nchw, nchw, threads, lambda y: np.moveaxis(y, 1, 3)),
        }

    @staticmethod
    def scales(problem):
        return {
            "x_scale": np.float32(problem.input_scale),
            "x_zero": np.uint8(problem.input_zero),
            "w_scale": problem.weight_scale,
            "w_zero": np.zeros(len(problem.weight_scale), np.int8),
            "y_scale": np.float32(problem.output_scale),
            "y_zero": np.uint8(problem.output_zero),
        }
