"""Makes recurrent.safetensors: LSTM and GRU in float, and what PyTorch's dynamic quantization makes of them.

Float results are computed by torch in float64 and rounded once. Dynamic ones come from the engine fbgemm with one scale
per output channel of the weights; it uses activations 0 … 127, so that nothing can saturate.
"""

import copy

import torch
from torch import nn
from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

from common import Family, normal, numbers, state

family = Family("recurrent")
torch.backends.quantized.engine = "fbgemm"


def main():
    layers("lstm", nn.LSTM(6, 5), steps=4, batch=3)
    layers("lstm_deep", nn.LSTM(6, 5, num_layers=2, bidirectional=True), steps=4, batch=3, has_start=True)
    layers("lstm_batch_first", nn.LSTM(6, 33, num_layers=2, bias=False, batch_first=True), steps=5, batch=2)
    layers("lstm_projected", nn.LSTM(6, 7, num_layers=2, proj_size=4, bidirectional=True), steps=3, batch=2, has_start=True)
    layers("gru", nn.GRU(6, 5), steps=4, batch=3)
    layers("gru_deep", nn.GRU(6, 19, num_layers=2, bidirectional=True, batch_first=True), steps=4, batch=2, has_start=True)
    cell("lstm_cell", nn.LSTMCell(6, 5))
    cell("gru_cell", nn.GRUCell(6, 5, bias=False))
    linear("linear", nn.Linear(24, 9))
    family.write()


def randomize(network, source, scale):
    """Random parameters. The largest weight of a row is positive: −127.5 steps round to −127 or −128, depending on whether
    one divides by the scale or multiplies by its reciprocal, as PyTorch does; 127.5 is 127 either way."""
    for parameter in network.parameters():
        values = normal(source, *parameter.shape, scale=scale)
        if values.dim() == 2:
            largest = values.abs().argmax(1, keepdim=True)
            values.scatter_(1, largest, values.gather(1, largest).abs())
        parameter.data.copy_(values)
    return network.eval()


def quantized(network):
    wrapped = nn.Sequential(network)
    return quantize_dynamic(wrapped, {type(network): per_channel_dynamic_qconfig})[0]


def layers(case, network, steps, batch, has_start=False):
    source = numbers(case)
    randomize(network, source, 0.5)
    is_lstm = isinstance(network, nn.LSTM)
    directions = network.num_layers * (2 if network.bidirectional else 1)
    x = normal(source, *((batch, steps) if network.batch_first else (steps, batch)), network.input_size)
    start = None
    fields = {**state(network), "x": x}
    if has_start:
        fields["h0"] = normal(source, directions, batch, network.proj_size or network.hidden_size, scale=0.5)
        start = fields["h0"]
        if is_lstm:
            fields["c0"] = normal(source, directions, batch, network.hidden_size, scale=0.5)
            start = (start, fields["c0"])

    def results(y, last):
        return {"y": y, "h": last[0], "c": last[1]} if is_lstm else {"y": y, "h": last}

    double = copy.deepcopy(network).double()
    doubled = None if start is None else tuple(s.double() for s in start) if is_lstm else start.double()
    fields |= {name: value.float() for name, value in results(*double(x.double(), doubled)).items()}
    if network.proj_size == 0 and network.bias:
        y = quantized(network)(x) if start is None else quantized(network)(x, start)
        fields |= {f"dynamic_{name}": value for name, value in results(*y).items()}
    family.add(case, {"kind": "lstm" if is_lstm else "gru", **arguments(network)}, fields)


def arguments(network):
    names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional"]
    if isinstance(network, nn.LSTM):
        names.append("proj_size")
    return {name: getattr(network, name) for name in names}


def cell(case, network):
    source = numbers(case)
    randomize(network, source, 0.5)
    is_lstm = isinstance(network, nn.LSTMCell)
    x, h = normal(source, 3, network.input_size), normal(source, 3, network.hidden_size)
    fields = {**state(network), "x": x, "h0": h}
    if is_lstm:
        fields["c0"] = normal(source, 3, network.hidden_size)
        h1, c1 = network.double()(x.double(), (h.double(), fields["c0"].double()))
        fields |= {"h": h1.float(), "c": c1.float()}
    else:
        fields["h"] = network.double()(x.double(), h.double()).float()
    attributes = {"kind": case, "input_size": network.input_size, "hidden_size": network.hidden_size, "bias": network.bias}
    family.add(case, attributes, fields)


def linear(case, network):
    source = numbers(case)
    randomize(network, source, 0.5)
    x = normal(source, 7, network.in_features)
    family.add(case, {"kind": "linear"}, {**state(network), "x": x, "y": network(x), "dynamic_y": quantized(network)(x)})


main()
