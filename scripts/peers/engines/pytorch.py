"""PyTorch: its quantized operations, with each of its engines."""

import os
import time
import warnings

import numpy as np

# "x86" chooses between these two.
ENGINES = ["fbgemm", "onednn"]
# The names that FBGEMM gives the instruction sets.
FBGEMM_ISA = {"avx2": "AVX2", "avx512vnni": "AVX512_E1"}


class Job:
    def __init__(self, call, finish):
        self.call, self.finish = call, finish

    def run(self, count):
        call = self.call
        start = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - start

    def output(self):
        return self.finish(self.call())


class Engine:
    title = "PyTorch"

    def __init__(self, isa):
        if isa in FBGEMM_ISA:
            os.environ["FBGEMM_ENABLE_INSTRUCTIONS"] = FBGEMM_ISA[isa]
        if isa == "avx2":
            os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
            os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        # Of the quantized tensors, that they are to go.
        warnings.filterwarnings("ignore")
        import torch
        import torch.ao.quantization

        self.torch = torch
        self.version = torch.__version__.split("+")[0]

    def sgemm(self, problem, threads):
        torch = self.torch
        torch.set_num_threads(threads)
        a, b = torch.from_numpy(problem.a), torch.from_numpy(problem.b)
        result = torch.empty(a.shape[0], b.shape[1])
        return {"mm": Job(lambda: torch.mm(a, b, out=result), lambda y: y.numpy().copy())}

    def layout(self, problem, threads):
        torch = self.torch
        torch.set_num_threads(threads)
        x = torch.from_numpy(problem.x)[None]
        return {
            "contiguous": Job(
                lambda: x.contiguous(memory_format=torch.channels_last), lambda y: y[0].permute(1, 2, 0).numpy().copy()
            )
        }

    def min_max(self, problem, threads):
        observers = self.torch.ao.quantization
        if problem.by_channel:
            observer = observers.PerChannelMinMaxObserver(ch_axis=0)
        else:
            observer = observers.MinMaxObserver()
        return self.observed(
            problem, observer, lambda: np.stack([np.atleast_1d(v) for v in (observer.min_val, observer.max_val)], axis=1)
        )

    def histogram(self, problem, threads):
        observer = self.torch.ao.quantization.HistogramObserver(bins=problem.bins)

        def counts():
            # It adds the counts of all calls.
            return observer.histogram.numpy() * (problem.x.size / observer.histogram.sum().item())

        return self.observed(problem, observer, counts)

    def search(self, problem, threads):
        self.torch.set_num_threads(1)
        observer = self.torch.ao.quantization.HistogramObserver(bins=problem.bins)
        observer.histogram = self.torch.from_numpy(problem.x[0])
        observer.min_val, observer.max_val = self.torch.tensor(problem.range)
        return {"search": Job(observer._non_linear_param_search, lambda r: np.array([v.item() for v in r]))}

    def observed(self, problem, observer, result):
        self.torch.set_num_threads(1)
        x = self.torch.from_numpy(problem.x)
        return {type(observer).__name__: Job(lambda: observer(x), lambda _: result())}

    def quantize(self, problem, threads):
        torch = self.torch
        torch.set_num_threads(threads)
        x, scale = torch.from_numpy(problem.x), torch.from_numpy(problem.scale.astype(np.float64))
        zeros = torch.full(scale.shape, problem.zero, dtype=torch.int64)
        if problem.by_channel:
            call = lambda: torch.quantize_per_channel(x, scale, zeros, 0, torch.quint8)
        else:
            call = lambda: torch.quantize_per_tensor(x, scale.item(), problem.zero, torch.quint8)
        return {"quantize": Job(call, lambda y: y.int_repr().numpy().copy())}

    def fake_quantize(self, problem, threads):
        torch = self.torch
        torch.set_num_threads(threads)
        x, settings = torch.from_numpy(problem.x), (problem.scale.item(), problem.zero, problem.low, problem.high)
        call = lambda: torch.fake_quantize_per_tensor_affine(x, *settings)
        return {"fake_quantize": Job(call, lambda y: y.numpy().copy())}

    def fake_quantize_mask(self, problem, threads):
        torch = self.torch
        torch.set_num_threads(threads)
        x, settings = torch.from_numpy(problem.x), (problem.scale.item(), problem.zero, problem.low, problem.high)
        call = lambda: torch.ops.aten.fake_quantize_per_tensor_affine_cachemask(x, *settings)
        return {"cachemask": Job(call, lambda both: np.stack([part.float().numpy() for part in both]))}

    def gemm(self, problem, threads):
        return {engine: self.linear(problem, *self.quantized(problem, engine, threads)) for engine in ENGINES}

    def conv(self, problem, threads):
        return {engine: self.conv2d(problem, *self.quantized(problem, engine, threads)) for engine in ENGINES}

    def quantized(self, problem, engine, threads):
        """x, weights and bias as PyTorch has them, its settings made."""
        torch = self.torch
        torch.set_num_threads(threads)
        torch.backends.quantized.engine = engine
        scales = torch.from_numpy(problem.weight_scale.astype(np.float64))
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        weights = torch._make_per_channel_quantized_tensor(torch.from_numpy(problem.weights), scales, zeros, 0)
        x = torch.from_numpy(problem.x)
        if x.dim() == 4:
            x = x.permute(0, 3, 1, 2)
        x = torch._make_per_tensor_quantized_tensor(x, problem.input_scale, problem.input_zero)
        if problem.bias is None:
            return x, weights, None
        bias = problem.bias * problem.weight_scale * np.float32(problem.input_scale)
        return x, weights, torch.from_numpy(bias.astype(np.float32))

    def linear(self, problem, x, weights, bias):
        q, scale, zero = self.torch.ops.quantized, problem.output_scale, problem.output_zero
        packed = q.linear_prepack(weights, bias)
        return Job(lambda: q.linear_relu(x, packed, scale, zero), lambda y: y.int_repr().numpy().copy())

    def conv2d(self, problem, x, weights, bias):
        q, scale, zero = self.torch.ops.quantized, problem.output_scale, problem.output_zero
        c = problem.convolution()
        x = x.contiguous(memory_format=self.torch.channels_last)
        packed = q.conv2d_prepack(weights, bias, [c.stride] * 2, [c.pad] * 2, [1, 1], c.groups)
        return Job(
            lambda: q.conv2d_relu(x, packed, scale, zero),
            lambda y: y.int_repr().permute(0, 2, 3, 1).contiguous().numpy(),
        )
