"""Makes operations.safetensors: single float operations as torch computes them (in float64, rounded once to float32)."""

import torch
import torch.nn.functional as F

from common import Family, exact, normal, numbers, uniform

family = Family("operations")


def main():
    convolutions()
    linear_and_matmul()
    batch_norms()
    activations()
    binaries()
    concatenations()
    max_pools()
    average_pools()
    shapes()
    means()
    pads()
    family.write()


def convolutions():
    #     name              input          weight        bias   stride  padding dilation groups
    add_convolution("basic", (1, 3, 7, 6), (4, 3, 3, 3), True, [1, 1], [0, 0], [1, 1], 1)
    add_convolution("no_bias", (1, 3, 7, 6), (4, 3, 3, 3), False, [1, 1], [0, 0], [1, 1], 1)
    add_convolution("padded", (1, 3, 5, 6), (5, 3, 3, 3), True, [1, 1], [1, 1], [1, 1], 1)
    add_convolution("strided", (1, 3, 9, 8), (4, 3, 3, 3), True, [2, 2], [1, 1], [1, 1], 1)
    add_convolution("uneven_stride_and_padding", (1, 2, 9, 8), (3, 2, 3, 3), True, [2, 1], [0, 2], [1, 1], 1)
    add_convolution("kernel_1x3", (1, 3, 5, 7), (4, 3, 1, 3), True, [1, 1], [0, 1], [1, 1], 1)
    add_convolution("kernel_5x2", (1, 3, 8, 6), (4, 3, 5, 2), False, [1, 1], [2, 0], [1, 1], 1)
    add_convolution("dilated", (1, 3, 9, 9), (4, 3, 3, 3), True, [1, 1], [2, 2], [2, 2], 1)
    add_convolution("uneven_dilation", (1, 2, 9, 8), (3, 2, 3, 3), True, [1, 2], [1, 0], [3, 1], 1)
    add_convolution("groups_2", (1, 4, 6, 6), (6, 2, 3, 3), True, [1, 1], [1, 1], [1, 1], 2)
    add_convolution("groups_3_strided", (2, 6, 7, 7), (9, 2, 3, 3), False, [2, 2], [1, 1], [1, 1], 3)
    add_convolution("depthwise", (1, 5, 6, 7), (5, 1, 3, 3), True, [1, 1], [1, 1], [1, 1], 5)
    add_convolution("depthwise_strided_5x5", (1, 3, 9, 9), (3, 1, 5, 5), False, [2, 2], [2, 2], [1, 1], 3)
    add_convolution("depthwise_multiplier_2", (1, 3, 6, 6), (6, 1, 3, 3), True, [1, 1], [1, 1], [1, 1], 3)
    add_convolution("pointwise", (1, 8, 4, 5), (7, 8, 1, 1), True, [1, 1], [0, 0], [1, 1], 1)
    add_convolution("pointwise_strided", (1, 8, 5, 5), (7, 8, 1, 1), False, [2, 2], [0, 0], [1, 1], 1)
    add_convolution("batch_3", (3, 3, 6, 5), (4, 3, 3, 3), True, [1, 1], [1, 1], [1, 1], 1)
    add_convolution("whole_image", (2, 3, 4, 4), (6, 3, 4, 4), True, [1, 1], [0, 0], [1, 1], 1)


def add_convolution(name, input_shape, weight_shape, has_bias, stride, padding, dilation, groups):
    case = f"conv2d_{name}"
    source = numbers(case)
    fields = {"x": normal(source, *input_shape), "weight": normal(source, *weight_shape, scale=0.5)}
    if has_bias:
        fields["bias"] = normal(source, weight_shape[0])

    def convolve(x, weight, bias=None):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    attributes = {"op": "conv2d", "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": has_bias}
    add(case, attributes, fields, convolve)


def add(case, attributes, fields, function):
    """Adds a case whose output `y` is `function` of the fields in the order in which they stand."""
    family.add(case, attributes, {**fields, "y": exact(function, *fields.values())})


def linear_and_matmul():
    for name, shape, has_bias in [("2d", (3, 5), True), ("no_bias", (3, 5), False), ("3d", (2, 4, 5), True)]:
        case = f"linear_{name}"
        source = numbers(case)
        fields = {"x": normal(source, *shape), "weight": normal(source, 7, 5)}
        if has_bias:
            fields["bias"] = normal(source, 7)
        add(case, {"op": "linear", "bias": has_bias}, fields, F.linear)
    for name, a, b in [
        ("2d", (3, 5), (5, 4)),
        ("batched", (3, 2, 5), (3, 5, 4)),
        ("broadcast_matrix", (3, 2, 5), (5, 4)),
        ("broadcast_batch", (2, 1, 3, 5), (4, 5, 2)),
        ("vector_on_the_right", (2, 3, 5), (5,)),
        ("vector_on_the_left", (5,), (2, 5, 3)),
    ]:
        case = f"matmul_{name}"
        source = numbers(case)
        add(case, {"op": "matmul"}, {"a": normal(source, *a), "b": normal(source, *b)}, torch.matmul)


def batch_norms():
    for name, shape in [("4d", (2, 3, 4, 5)), ("2d", (4, 5))]:
        add_batch_norm(f"batch_norm_{name}", shape, 1e-5)
        add_training_batch_norm(f"batch_norm_training_{name}", shape, 1e-5)
    add_batch_norm("batch_norm_large_epsilon", (1, 4, 3, 3), 1e-2)


def batch_norm_fields(case, shape):
    source = numbers(case)
    channels = shape[1]
    return {
        "x": normal(source, *shape),
        "weight": uniform(source, 0.5, 1.5, channels),
        "bias": normal(source, channels),
        "running_mean": normal(source, channels),
        "running_var": uniform(source, 0.25, 2, channels),
    }


def add_batch_norm(case, shape, epsilon):
    def normalize(x, weight, bias, mean, variance):
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=epsilon)

    add(case, {"op": "batch_norm", "training": False, "epsilon": epsilon}, batch_norm_fields(case, shape), normalize)


def add_training_batch_norm(case, shape, epsilon):
    """Batch statistics normalize; the running ones move by `momentum` towards the batch's mean and unbiased variance."""
    fields = batch_norm_fields(case, shape)
    x, weight, bias, mean, variance = [tensor.double() for tensor in fields.values()]
    y = F.batch_norm(x, mean, variance, weight, bias, training=True, momentum=0.1, eps=epsilon)
    results = {"y": y.float(), "new_running_mean": mean.float(), "new_running_var": variance.float()}
    attributes = {"op": "batch_norm", "training": True, "epsilon": epsilon, "momentum": 0.1}
    family.add(case, attributes, {**fields, **results})


def activations():
    for op, function in [("relu", F.relu), ("relu6", F.relu6)]:
        x = normal(numbers(op), 2, 3, 5, scale=4)
        x.view(-1)[:4] = torch.tensor([0.0, -0.0, 6.0, 6.0009765625])
        add(op, {"op": op}, {"x": x}, function)
    for axis in [0, 1, 2, -1]:
        case = f"softmax_axis_{axis}"
        x = normal(numbers(case), 2, 3, 4, scale=3)
        add(case, {"op": "softmax", "axis": axis}, {"x": x}, lambda x: F.softmax(x, dim=axis))
    x = normal(numbers("softmax_large"), 3, 5, scale=200)
    add("softmax_large", {"op": "softmax", "axis": 1}, {"x": x}, lambda x: F.softmax(x, dim=1))


def binaries():
    for op in ["add", "sub", "mul", "div"]:
        for name, a, b in [
            ("same", (2, 3, 4), (2, 3, 4)),
            ("scalar", (2, 3, 4), (1,)),
            ("channel", (2, 3, 4, 2), (3, 1, 1)),
            ("both", (2, 1, 4), (3, 1)),
            ("first_is_smaller", (4,), (2, 3, 4)),
        ]:
            case = f"{op}_{name}"
            source = numbers(case)
            first, second = normal(source, *a), normal(source, *b)
            if op == "div":
                second = uniform(source, 0.5, 3, *b) * torch.where(second < 0, -1.0, 1.0)
            add(case, {"op": op}, {"a": first, "b": second}, getattr(torch, op))


def concatenations():
    for axis, sizes in [(0, [1, 2]), (1, [2, 1, 3]), (2, [2, 3]), (-1, [1, 4])]:
        case = f"concat_axis_{axis}"
        source = numbers(case)
        fields = {}
        for index, size in enumerate(sizes):
            shape = [2, 3, 2, 3]
            shape[axis] = size
            fields[f"x{index}"] = normal(source, *shape)
        attributes = {"op": "concat", "axis": axis, "inputs": len(sizes)}
        add(case, attributes, fields, lambda *inputs: torch.cat(inputs, dim=axis))


def max_pools():
    #   name               height, width  kernel  stride  padding dilation ceil_mode
    for name, size, kernel, stride, padding, dilation, ceil_mode in [
        ("basic", (6, 8), [2, 2], [2, 2], [0, 0], [1, 1], False),
        ("overlapping", (7, 6), [3, 3], [1, 1], [0, 0], [1, 1], False),
        ("padded", (7, 7), [3, 3], [2, 2], [1, 1], [1, 1], False),
        ("uneven", (8, 7), [3, 2], [2, 1], [1, 0], [1, 1], False),
        ("dilated", (8, 9), [3, 2], [1, 2], [1, 1], [2, 3], False),
        ("ceil", (6, 7), [3, 3], [2, 2], [0, 0], [1, 1], True),
        ("ceil_padded", (6, 5), [2, 3], [2, 2], [1, 1], [1, 1], True),
        # Rounding up would start a window in the padding below and to the right: torch drops it.
        ("ceil_drops_last_window", (5, 5), [2, 2], [3, 3], [1, 1], [1, 1], True),
        ("ceil_dilated", (9, 8), [2, 2], [3, 3], [1, 1], [2, 2], True),
    ]:
        case = f"max_pool2d_{name}"
        # All negative: zeros in the padding would win.
        x = -uniform(numbers(case), 0.5, 4, 2, 3, *size)
        attributes = {
            "op": "max_pool2d", "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode,
        }
        add(case, attributes, {"x": x}, lambda x: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode))


def average_pools():
    #   name                  height, width  kernel  stride  padding ceil_mode
    for name, size, kernel, stride, padding, ceil_mode in [
        ("basic", (6, 8), [2, 2], [2, 2], [0, 0], False),
        ("padded", (7, 6), [3, 3], [2, 2], [1, 1], False),
        ("uneven", (8, 7), [3, 2], [1, 2], [1, 0], False),
        ("ceil", (6, 7), [3, 3], [2, 2], [0, 0], True),
        ("ceil_padded", (6, 5), [3, 2], [2, 2], [1, 1], True),
        ("ceil_drops_last_window", (5, 5), [2, 2], [3, 3], [1, 1], True),
    ]:
        for counted in [True, False]:
            case = f"avg_pool2d_{name}_{'counting' if counted else 'not_counting'}_padding"
            x = normal(numbers(case), 2, 3, *size)
            attributes = {
                "op": "avg_pool2d", "kernel": kernel, "stride": stride, "padding": padding,
                "ceil_mode": ceil_mode, "count_include_pad": counted,
            }
            add(case, attributes, {"x": x}, lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode, counted))
    for name, size, output in [
        ("1x1", (5, 4), [1, 1]),
        ("2x3", (4, 6), [2, 3]),
        ("not_divisible", (7, 5), [3, 2]),
        ("larger_than_input", (2, 3), [4, 5]),
    ]:
        case = f"adaptive_avg_pool2d_{name}"
        x = normal(numbers(case), 2, 3, *size)
        add(case, {"op": "adaptive_avg_pool2d", "output": output}, {"x": x}, lambda x: F.adaptive_avg_pool2d(x, output))


def shapes():
    x = normal(numbers("shapes"), 2, 3, 4, 2)
    for name, shape in [("merge", [6, 8]), ("inferred", [2, -1]), ("split", [2, 3, 2, 2, 2])]:
        add(f"reshape_{name}", {"op": "reshape", "shape": shape}, {"x": x}, lambda x: x.reshape(shape))
    for start, end in [(0, -1), (1, -1), (1, 2), (2, 3)]:
        add(f"flatten_{start}_{end}", {"op": "flatten", "start": start, "end": end}, {"x": x}, lambda x: x.flatten(start, end))
    for axes in [[0, 2, 3, 1], [3, 2, 1, 0], [1, 0, 2, 3]]:
        case = "permute_" + "".join(map(str, axes))
        add(case, {"op": "permute", "axes": axes}, {"x": x}, lambda x: x.permute(axes))


def means():
    x = normal(numbers("means"), 2, 3, 4, 5)
    for axes in [[2, 3], [1], [0, 2], [-1], [0, 1, 2, 3]]:
        for keep in [True, False]:
            case = f"mean_{'_'.join(map(str, axes))}_{'kept' if keep else 'dropped'}"
            add(case, {"op": "mean", "axes": axes, "keep_dimensions": keep}, {"x": x}, lambda x: x.mean(axes, keepdim=keep))


def pads():
    """`begin` and `end` have one number for each axis, as in ONNX; torch wants them from the last axis backwards."""
    x = normal(numbers("pads"), 2, 3, 4, 2)
    for name, begin, end, value in [
        ("zero", [0, 0, 1, 1], [0, 0, 1, 1], 0.0),
        ("four_sides", [0, 0, 1, 2], [0, 0, 3, 4], 0.0),
        ("constant", [0, 0, 2, 0], [0, 0, 1, 3], -1.5),
        ("channels", [0, 1, 0, 0], [0, 2, 0, 0], 0.5),
        ("batch", [1, 0, 0, 1], [0, 0, 1, 0], 2.0),
    ]:
        amounts = [amount for axis in reversed(range(4)) for amount in (begin[axis], end[axis])]
        attributes = {"op": "pad", "begin": begin, "end": end, "value": value}
        add(f"pad_{name}", attributes, {"x": x}, lambda x: F.pad(x, amounts, value=value))


main()
