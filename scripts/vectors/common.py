"""What every generator of reference vectors shares: repeatable inputs, exact references, and the writing of one file.

A family is one safetensors file. Its tensors are named `<case>/<field>`; what a test needs beside the tensors to rebuild
a call stands as JSON in the file's metadata under the key `cases` (case name -> attributes). That is the only key,
because safetensors writes several keys in an order that changes from run to run.
"""

import copy
import json
import os
import pathlib
import sys
import warnings
import zlib

# Code for a particular vector width may add in another order: the baseline code gives one answer on every machine.
os.environ["ATEN_CPU_CAPABILITY"] = "default"
os.environ["MKL_CBWR"] = "COMPATIBLE"

import numpy as np
import safetensors.torch
import torch

torch.set_num_threads(1)
torch.backends.mkldnn.enabled = False
# torch announces at every call that torch.ao.quantization and quantized tensors will leave it: why it is pinned.
warnings.filterwarnings("ignore", module="torch")
warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*")
warnings.filterwarnings("ignore", message=".*torch.ao.quantization is deprecated.*")


class Family:
    """The cases of one file."""

    def __init__(self, name):
        self.name = name
        self.tensors = {}
        self.cases = {}

    def add(self, case, attributes, fields):
        """Adds one case: its attributes (JSON) and its fields (name -> tensor or array)."""
        assert case not in self.cases, case
        self.cases[case] = attributes
        for field, value in fields.items():
            self.tensors[f"{case}/{field}"] = torch.as_tensor(value).detach().clone().contiguous()

    def write(self):
        """Writes `<name>.safetensors` into the folder that is the only argument of the command line."""
        path = pathlib.Path(sys.argv[1]) / f"{self.name}.safetensors"
        metadata = {"cases": json.dumps(self.cases, sort_keys=True, separators=(",", ":"))}
        path.write_bytes(safetensors.torch.save(self.tensors, metadata))
        print(f"{path.name}: {len(self.cases)} cases, {len(self.tensors)} tensors, {path.stat().st_size:,} bytes")


def numbers(case):
    """A source of random numbers that depends on the name of the case alone, so that a new case changes no other."""
    return np.random.default_rng(zlib.crc32(case.encode()))


def split_mix(seed, count):
    """The first numbers of SplitMix64, uint64: those of the tests' SeededGenerator, so that no file has to hold them."""
    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def normal(source, *shape, scale=1.0):
    """Normally distributed float32 on a grid of 1/4096, so that no machine's logarithm shows in them."""
    return torch.from_numpy(np.round(source.standard_normal(shape) * scale * 4096) / 4096).float()


def uniform(source, low, high, *shape):
    """Evenly distributed float32 on a grid of 1/4096."""
    return torch.from_numpy(np.round(source.uniform(low, high, shape) * 4096) / 4096).float()


def exact(function, *inputs):
    """`function` of float32 tensors, computed in float64 and rounded once: a reference that favours no order of summing."""
    result = function(*[x.double() for x in inputs])
    return result.float()


def exact_network(network, x):
    """The output of a network, computed in float64 and rounded once."""
    return copy.deepcopy(network).double()(x.double()).float()


def initialize(network, source):
    """Gives every parameter and every statistic of batch normalization a value that leaves activations near 1."""
    for module in network.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            tensor.data.copy_(initial_value(module, name, tensor, source))
    return network.eval()


def initial_value(module, name, tensor, source):
    shape = tuple(tensor.shape)
    is_norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    if name == "num_batches_tracked":
        return torch.tensor(7)
    if name == "running_var" or (is_norm and name == "weight"):
        return uniform(source, 0.5, 1.5, *shape)
    if name in ("bias", "running_mean"):
        return normal(source, *shape, scale=0.25)
    fan_in = tensor[0].numel()
    return normal(source, *shape, scale=(2 / fan_in) ** 0.5)


def state(network):
    """The state dict as fields `state/<PyTorch name>`."""
    return {f"state/{name}": tensor for name, tensor in network.state_dict().items()}
