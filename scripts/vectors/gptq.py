"""Makes gptq.safetensors: the weight of a linear layer quantized by GPTQ, in plain NumPy and float64.

The algorithm is that of Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers" (2022), with parameters of all groups taken from the weight before it is corrected ("static groups").
Columns that are always 0 count neither in the mean that dampening is a fraction of nor in the weight.
"""

import numpy as np

from common import Family, numbers

RANGES = {"int4": (-8, 7), "uint4": (0, 15), "int8": (-128, 127), "uint8": (0, 255)}


def group_parameters(weight, group, dtype, symmetric):
    """Scale and zero point of every group of every row: [n, groups], float32 and integers."""
    low, high = RANGES[dtype]
    scales, zeros = [], []
    for start in range(0, weight.shape[1], group):
        part = weight[:, start : start + group]
        least = np.minimum(part.min(axis=1), 0).astype(np.float32)
        most = np.maximum(part.max(axis=1), 0).astype(np.float32)
        if symmetric:
            scale = np.maximum(-least, most) / np.float32((high - low) / 2)
            zero = np.full(len(part), 0 if low < 0 else (high + 1) // 2)
        else:
            scale = (most - least) / np.float32(high - low)
            zero = np.clip(low - np.rint(least / np.maximum(scale, np.float32(2.0**-23))), low, high)
        scales.append(np.maximum(scale, np.float32(2.0**-23)))
        zeros.append(zero.astype(np.int32))
    return np.stack(scales, axis=1), np.stack(zeros, axis=1)


def gptq(weight, inputs, group, dtype, symmetric, dampening, ordered):
    """weight [n, k], inputs [N, k] → integers [n, k], scales and zero points [n, groups]."""
    low, high = RANGES[dtype]
    hessian = 2 / len(inputs) * inputs.T.astype(np.float64) @ inputs.astype(np.float64)
    dead = np.diag(hessian) == 0
    weight = np.where(dead, 0, weight)
    scales, zeros = group_parameters(weight, group, dtype, symmetric)
    order = np.argsort(-np.diag(hessian), kind="stable") if ordered else np.arange(weight.shape[1])
    mean = np.diag(hessian)[~dead].mean()
    hessian[np.diag_indices_from(hessian)] += np.where(dead, mean, dampening * mean)
    upper = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T

    left = weight.astype(np.float64)[:, order]
    integers = np.zeros(weight.shape, np.int32)
    for place, column in enumerate(order):
        scale = scales[:, column // group].astype(np.float64)
        zero = zeros[:, column // group]
        integers[:, column] = np.clip(np.rint(left[:, place] / scale) + zero, low, high)
        error = (left[:, place] - (integers[:, column] - zero) * scale) / upper[place, place]
        left[:, place:] -= np.outer(error, upper[place, place:])
    return integers, scales, zeros


def correlated_inputs(source, count, k):
    """Vectors whose spectrum falls as a power, some channels ten times as large as the others, one always 0."""
    spectrum = np.arange(1, k + 1) ** -0.75
    inputs = source.standard_normal((count, k)) * spectrum @ source.standard_normal((k, k))
    inputs[:, source.choice(k, 3, replace=False)] *= 10
    inputs[:, k // 2] = 0
    return np.round(inputs * 4096).astype(np.float32) / 4096


def main():
    family = Family("gptq")
    n, k = 64, 64
    for dtype, group, symmetric, ordered in [
        ("int4", 32, True, True),
        ("uint4", 32, False, False),
        ("int8", 64, True, True),
    ]:
        case = f"{dtype}_group_{group}_{'symmetric' if symmetric else 'affine'}_{'ordered' if ordered else 'in_order'}"
        source = numbers(case)
        spread = source.lognormal(0, 0.5, (n, 1))
        weight = (np.round(source.standard_normal((n, k)) * spread * 4096) / 4096).astype(np.float32)
        inputs = correlated_inputs(source, 128, k)
        integers, scales, zeros = gptq(weight, inputs, group, dtype, symmetric, 0.01, ordered)
        family.add(
            case,
            {"dtype": dtype, "group": group, "symmetric": symmetric, "ordered": ordered, "dampening": 0.01},
            {"weight": weight, "inputs": inputs, "integers": integers.astype(np.int16), "scales": scales,
             "zero_points": zeros},
        )
    family.write()


if __name__ == "__main__":
    main()
