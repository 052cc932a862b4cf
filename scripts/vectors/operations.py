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
    signals()
    transposed_convolutions()
    unary_functions()
    prelus()
    comparisons()
    normalizations()
    log_softmaxes()
    reductions()
    rankings()
    axes()
    selections()
    resizes()
    attentions()
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
    for op in ["add", "sub", "mul", "div", "pow", "minimum", "maximum"]:
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
            if op == "pow":
                first = uniform(source, 0.1, 3, *a)
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


def signals():
    """Convolution and pooling of [n, c, l]."""
    #      name      input      weight     bias   stride padding dilation groups
    for name, input_shape, weight_shape, has_bias, stride, padding, dilation, groups in [
        ("basic", (2, 3, 9), (4, 3, 3), True, 1, 0, 1, 1),
        ("strided_padded", (2, 3, 10), (5, 3, 4), False, 2, 2, 1, 1),
        ("dilated_groups", (1, 4, 12), (6, 2, 3), True, 1, 2, 2, 2),
        ("depthwise", (1, 5, 8), (5, 1, 3), True, 1, 1, 1, 5),
    ]:
        case = f"conv1d_{name}"
        source = numbers(case)
        fields = {"x": normal(source, *input_shape), "weight": normal(source, *weight_shape, scale=0.5)}
        if has_bias:
            fields["bias"] = normal(source, weight_shape[0])

        def convolve(x, weight, bias=None):
            return F.conv1d(x, weight, bias, stride, padding, dilation, groups)

        attributes = {"op": "conv1d", "stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": has_bias}
        add(case, attributes, fields, convolve)
    x = -uniform(numbers("pool1d"), 0.5, 4, 2, 3, 11)
    for kernel, stride, padding, ceil_mode in [(2, 2, 0, False), (3, 2, 1, False), (3, 2, 0, True)]:
        attributes = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        name = f"{kernel}_{stride}_{padding}" + ("_ceil" if ceil_mode else "")
        add(f"max_pool1d_{name}", {"op": "max_pool1d", **attributes}, {"x": x}, lambda x: F.max_pool1d(x, kernel, stride, padding, 1, ceil_mode))
        add(f"avg_pool1d_{name}", {"op": "avg_pool1d", **attributes}, {"x": x}, lambda x: F.avg_pool1d(x, kernel, stride, padding, ceil_mode))


def transposed_convolutions():
    #     name            input         weight        bias   stride  padding extra   dilation groups
    for name, input_shape, weight_shape, has_bias, stride, padding, extra, dilation, groups in [
        ("basic", (1, 3, 4, 5), (3, 4, 3, 3), True, [1, 1], [0, 0], [0, 0], [1, 1], 1),
        ("strided", (2, 3, 4, 5), (3, 4, 2, 2), True, [2, 2], [0, 0], [0, 0], [1, 1], 1),
        ("output_padding", (1, 3, 4, 3), (3, 2, 3, 3), False, [2, 3], [1, 1], [1, 2], [1, 1], 1),
        ("dilated", (1, 2, 4, 4), (2, 3, 3, 2), True, [1, 2], [2, 0], [0, 0], [2, 3], 1),
        ("output_padding_by_dilation", (1, 2, 3, 4), (2, 3, 2, 2), True, [1, 1], [0, 0], [1, 1], [2, 2], 1),
        ("groups_2", (2, 4, 3, 4), (4, 3, 3, 3), True, [2, 1], [1, 1], [0, 0], [1, 1], 2),
        ("depthwise", (1, 5, 3, 3), (5, 1, 4, 4), False, [2, 2], [1, 1], [0, 0], [1, 1], 5),
        ("signal", (2, 3, 5), (3, 4, 4), True, 2, 1, 0, 1, 1),
        ("signal_output_padding", (1, 4, 5), (4, 3, 3), False, 3, 0, 2, 1, 2),
    ]:
        case = f"conv_transpose_{name}"
        source = numbers(case)
        fields = {"x": normal(source, *input_shape), "weight": normal(source, *weight_shape, scale=0.5)}
        if has_bias:
            fields["bias"] = normal(source, weight_shape[1] * groups)
        convolve = F.conv_transpose2d if len(input_shape) == 4 else F.conv_transpose1d

        def transposed(x, weight, bias=None):
            return convolve(x, weight, bias, stride, padding, extra, groups, dilation)

        both = lambda value: [1, value] if isinstance(value, int) else value
        none = lambda value: [0, value] if isinstance(value, int) else value
        attributes = {
            "op": "conv_transpose", "stride": both(stride), "padding": none(padding), "output_padding": none(extra),
            "dilation": both(dilation), "groups": groups, "bias": has_bias,
        }
        add(case, attributes, fields, transposed)


UNARY = {
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "exp": torch.exp, "erf": torch.erf, "abs": torch.abs, "neg": torch.neg,
    "floor": torch.floor, "sin": torch.sin, "cos": torch.cos, "softplus": F.softplus, "silu": F.silu,
    "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": lambda x: F.elu(x, 1.5),
}


def unary_functions():
    for op, function in UNARY.items():
        x = normal(numbers(op), 2, 3, 7, scale=3)
        x.view(-1)[:4] = torch.tensor([0.0, -0.0, 3.0, -3.0])
        add(f"unary_{op}", {"op": op}, {"x": x}, function)
    for op, function in {"log": torch.log, "sqrt": torch.sqrt, "reciprocal": torch.reciprocal}.items():
        x = uniform(numbers(op), 0.01, 20, 2, 3, 7)
        add(f"unary_{op}", {"op": op}, {"x": x}, function)


def prelus():
    for name, shape, count in [("one_slope", (2, 3, 4), 1), ("channels", (2, 3, 4, 2), 3), ("rows", (4, 5), 5)]:
        case = f"prelu_{name}"
        source = numbers(case)
        add(case, {"op": "prelu"}, {"x": normal(source, *shape), "weight": normal(source, count)}, F.prelu)


def comparisons():
    for op in ["eq", "lt", "le", "gt", "ge"]:
        for name, a, b in [("same", (2, 3, 4), (2, 3, 4)), ("channel", (2, 3, 4), (3, 1))]:
            case = f"{op}_{name}"
            source = numbers(case)
            first, second = normal(source, *a).round(), normal(source, *b).round()
            family.add(case, {"op": op}, {"a": first, "b": second, "y": getattr(torch, op)(first, second)})
    source = numbers("where")
    for name, condition, a, b in [
        ("same", (2, 3, 4), (2, 3, 4), (2, 3, 4)), ("mask", (3, 4), (2, 3, 4), (1,)), ("values", (2, 1, 4), (2, 3, 1), (3, 4)),
    ]:
        mask = normal(source, *condition) > 0
        first, second = normal(source, *a), normal(source, *b)
        family.add(f"where_{name}", {"op": "where"}, {"condition": mask, "a": first, "b": second, "y": torch.where(mask, first, second)})
    x = torch.tensor([[0.0, 1.5, -1.5], [2.999, -0.25, 1e6]])
    for dtype in ["int32", "int64", "bool"]:
        family.add(f"cast_{dtype}", {"op": "cast", "dtype": dtype}, {"x": x, "y": x.to(getattr(torch, dtype))})


def normalizations():
    for name, shape, axis, affine in [("last", (2, 3, 5), 2, True), ("two_axes", (2, 3, 5), 1, True), ("plain", (4, 37), 1, False)]:
        case = f"layer_norm_{name}"
        source = numbers(case)
        fields = {"x": normal(source, *shape)}
        if affine:
            fields["weight"] = uniform(source, 0.5, 1.5, *shape[axis:])
            fields["bias"] = normal(source, *shape[axis:])
        function = lambda x, weight=None, bias=None: F.layer_norm(x, shape[axis:], weight, bias, 1e-5)
        add(case, {"op": "layer_norm", "axis": axis, "affine": affine, "epsilon": 1e-5}, fields, function)
    for name, shape, groups, affine in [("two", (2, 4, 3, 2), 2, True), ("one", (2, 3, 5), 1, True), ("plain", (2, 6, 2, 2), 3, False)]:
        case = f"group_norm_{name}"
        source = numbers(case)
        fields = {"x": normal(source, *shape)}
        if affine:
            fields["weight"] = uniform(source, 0.5, 1.5, shape[1])
            fields["bias"] = normal(source, shape[1])
        function = lambda x, weight=None, bias=None: F.group_norm(x, groups, weight, bias, 1e-3)
        add(case, {"op": "group_norm", "groups": groups, "affine": affine, "epsilon": 1e-3}, fields, function)
    for name, shape, affine in [("image", (2, 3, 4, 3), True), ("signal", (2, 3, 7), False)]:
        case = f"instance_norm_{name}"
        source = numbers(case)
        fields = {"x": normal(source, *shape)}
        if affine:
            fields["weight"] = uniform(source, 0.5, 1.5, shape[1])
            fields["bias"] = normal(source, shape[1])
        function = lambda x, weight=None, bias=None: F.instance_norm(x, weight=weight, bias=bias)
        add(case, {"op": "instance_norm", "affine": affine, "epsilon": 1e-5}, fields, function)


def log_softmaxes():
    for axis in [1, -1]:
        case = f"log_softmax_axis_{axis}"
        add(case, {"op": "log_softmax", "axis": axis}, {"x": normal(numbers(case), 2, 3, 4, scale=3)}, lambda x: F.log_softmax(x, dim=axis))


REDUCTIONS = {
    "sum": torch.sum, "amax": torch.amax, "amin": torch.amin, "logsumexp": torch.logsumexp,
    "prod": lambda x, axes, keepdim: x.prod(axes[0], keepdim=keepdim),
    "l1": lambda x, axes, keepdim: torch.linalg.vector_norm(x, 1, axes, keepdim),
    "l2": lambda x, axes, keepdim: torch.linalg.vector_norm(x, 2, axes, keepdim),
}


def reductions():
    x = normal(numbers("reductions"), 2, 3, 4, 5)
    for op, function in REDUCTIONS.items():
        for axes, keep in [([1], True), ([-1], False), ([2, 3], False), ([0, 2], True)]:
            if op == "prod" and len(axes) > 1:
                continue
            case = f"reduce_{op}_{'_'.join(map(str, axes))}_{'kept' if keep else 'dropped'}"
            attributes = {"op": "reduce", "kind": op, "axes": axes, "keep_dimensions": keep}
            add(case, attributes, {"x": x}, lambda x: function(x, axes, keepdim=keep))


def rankings():
    x = normal(numbers("rankings"), 2, 3, 6)
    for axis, keep in [(1, True), (-1, False)]:
        for op in ["argmax", "argmin"]:
            y = getattr(torch, op)(x, axis, keep)
            family.add(f"{op}_{axis}", {"op": op, "axis": axis, "keep_dimensions": keep}, {"x": x, "y": y})
    for axis, count, largest in [(-1, 3, True), (1, 2, False), (1, 3, True)]:
        values, indices = x.topk(count, axis, largest)
        attributes = {"axis": axis, "count": count, "largest": largest}
        for op, y in [("topk_values", values), ("topk_indices", indices)]:
            family.add(f"{op}_{axis}_{count}", {"op": op, **attributes}, {"x": x, "y": y})


def axes():
    source = numbers("axes")
    x = normal(source, 2, 1, 3, 1)
    for name, dims in [("one", [1]), ("both", [1, -1])]:
        add(f"squeeze_{name}", {"op": "squeeze", "axes": dims}, {"x": x}, lambda x: x.squeeze(dims))
    x = normal(source, 2, 3)
    for name, at, shape in [("middle", [1], (2, 1, 3)), ("both", [1, -1], (2, 1, 3, 1))]:
        add(f"unsqueeze_{name}", {"op": "unsqueeze", "axes": at}, {"x": x}, lambda x: x.reshape(shape))
    x = normal(source, 2, 1, 3)
    for name, shape in [("middle", [-1, 4, -1]), ("new_axis", [1, 2, 4, 3])]:
        add(f"expand_{name}", {"op": "expand", "shape": shape}, {"x": x}, lambda x: x.expand([2 if s == -1 and i == 0 else s for i, s in enumerate(shape)]))


def selections():
    source = numbers("selections")
    x = normal(source, 3, 4, 5)
    for name, start, end, step, axis in [
        ("front", 0, 2, 1, 1), ("negative", -3, -1, 1, 2), ("beyond", 1, 100, 1, 1), ("steps", 0, 5, 2, 2), ("nothing", 3, 2, 1, 1),
    ]:
        picked = torch.arange(x.shape[axis])[start:end:step]
        attributes = {"op": "slice", "start": start, "end": end, "step": step, "axis": axis}
        family.add(f"slice_{name}", attributes, {"x": x, "y": x.index_select(axis, picked)})
    reverse = {"op": "slice", "start": -1, "end": -100, "step": -2, "axis": 2}
    family.add("slice_backwards", reverse, {"x": x, "y": x.flip(2)[:, :, ::2]})
    for name, sizes, axis in [("even", [2, 2], 1), ("uneven", [1, 3, 1], -1)]:
        for part, y in enumerate(x.split(sizes, axis)):
            family.add(f"split_{name}_{part}", {"op": "split", "sizes": sizes, "axis": axis, "part": part}, {"x": x, "y": y})
    table = normal(source, 7, 4)
    indices = torch.tensor([[0, 6, 3], [3, 1, 5]])
    family.add("gather_rows", {"op": "gather", "axis": 0}, {"weight": table, "indices": indices, "y": F.embedding(indices, table)})
    columns = torch.tensor([3, 0, 0], dtype=torch.int32)
    family.add("gather_columns", {"op": "gather", "axis": 1}, {"weight": table, "indices": columns, "y": table.index_select(1, columns)})


def resizes():
    source = numbers("resizes")
    image, signal = normal(source, 2, 3, 4, 5), normal(source, 2, 3, 6)
    for name, x, options in [
        ("double", image, {"scale_factor": 2.0}), ("sizes", image, {"size": [7, 3]}), ("half", image, {"scale_factor": 0.5}),
        ("fraction", image, {"scale_factor": 1.5}), ("signal", signal, {"size": [11]}),
    ]:
        spatial = x.dim() - 2
        attributes = {"sizes": options["size"]} if "size" in options else {"scales": [options["scale_factor"]] * spatial}
        linear = "linear" if spatial == 1 else "bilinear"
        for mode, corners in [("nearest", None), (linear, False), (linear, True)]:
            if corners and "size" not in options and name == "fraction":
                continue
            kind = {None: "nearest", False: "linear", True: "corners"}[corners]
            add(f"resize_{name}_{kind}", {"op": "resize", "kind": kind, **attributes}, {"x": x},
                lambda x: F.interpolate(x, mode=mode, align_corners=corners, **options))


def attentions():
    for name, shape, mask in [("plain", (2, 2, 5, 4), None), ("added", (2, 3, 4), "float"), ("masked", (1, 2, 4, 3), "bool")]:
        case = f"attention_{name}"
        source = numbers(case)
        q, k, v = [normal(source, *shape) for _ in range(3)]
        fields = {"q": q, "k": k, "v": v}
        length = shape[-2]
        if mask == "float":
            fields["mask"] = normal(source, length, length)
        if mask == "bool":
            fields["mask"] = torch.tril(torch.ones(length, length)).bool()
        added = fields["mask"].double() if mask == "float" else fields.get("mask")
        y = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), added)
        family.add(case, {"op": "attention", "mask": mask is not None}, {**fields, "y": y.float()})


if __name__ == "__main__":
    main()
