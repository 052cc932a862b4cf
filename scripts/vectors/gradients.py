"""Makes gradients.safetensors: the gradients of the cases of operations.safetensors, and of recurrent layers, as torch's
autograd computes them (in float64, rounded once to float32).

A case has the gradient `dy` of its result, and `d_<field>` for each operand; operands stand in operations.safetensors under
the same name. Cases of recurrent layers hold their operands themselves.
"""

import torch
import torch.nn.functional as F

import operations
from common import Family, normal, numbers

family = Family("gradients")


def main():
    operations.add = add
    operations.family = Others()
    operations.main()
    for kind in ["lstm", "gru"]:
        for is_reversed in [False, True]:
            add_recurrent(kind, is_reversed, 0)
    add_recurrent("lstm", False, 3)
    for case, kind, is_reversed, reset_first, lengths in [
        ("gru_reset_first", "gru", False, True, None), ("gru_reset_first_lengths", "gru", True, True, [4, 2]),
        ("lstm_lengths", "lstm", False, False, [1, 4]), ("gru_lengths_reversed", "gru", True, False, [3, 0]),
    ]:
        add_recurrent_form(case, kind, is_reversed, reset_first, lengths)
    family.write()


def add(case, attributes, fields, function):
    """Adds the gradients of `function` with respect to its float operands."""
    if attributes["op"] == "floor":
        return
    if attributes["op"] == "batch_norm" and not attributes["training"]:
        function = lambda x, weight, bias, mean, variance: normalized(x, weight, bias, mean, variance, attributes["epsilon"])
    operands = {name: value.double().requires_grad_() if value.dtype == torch.float32 else value for name, value in fields.items()}
    y = function(*operands.values())
    dy = normal(numbers(f"gradient_of_{case}"), y.numel()).reshape(y.shape)
    y.backward(dy.double())
    gradients = {f"d_{name}": value.grad.float() for name, value in operands.items() if value.requires_grad and value.grad is not None}
    family.add(case, attributes, {"dy": dy, **gradients})


def normalized(x, weight, bias, mean, variance, epsilon):
    shape = [1, -1] + [1] * (x.dim() - 2)
    root = (variance.view(shape) + epsilon).sqrt()
    return (x - mean.view(shape)) / root * weight.view(shape) + bias.view(shape)


class Others:
    """The family of cases whose results operations.py does not compute by a function of all operands."""

    def add(self, case, attributes, fields):
        operands = {name: value for name, value in fields.items() if name != "y" and not name.startswith("new_")}
        function = function_of(attributes)
        if function is not None and fields["y"].numel() > 0:
            add(case, attributes, operands, function)

    def write(self):
        pass


def function_of(attributes):
    axis = attributes.get("axis")
    match attributes["op"]:
        case "where":
            return torch.where
        case "gather":
            return lambda table, indices: table.index_select(axis, indices.flatten().long()).unflatten(axis, indices.shape)
        case "slice":
            return lambda x: x.index_select(axis, torch.tensor(range(x.shape[axis])[attributes["start"]:attributes["end"]:attributes["step"]]))
        case "split":
            return lambda x: x.split(attributes["sizes"], axis)[attributes["part"]]
        case "topk_values":
            return lambda x: x.topk(attributes["count"], axis, attributes["largest"]).values
        case "attention":
            return lambda q, k, v, mask=None: F.scaled_dot_product_attention(q, k, v, mask)
        case "batch_norm":
            return lambda x, weight, bias, mean, variance: F.batch_norm(
                x, mean.detach(), variance.detach(), weight, bias, training=True, eps=attributes["epsilon"])
    return None


def add_recurrent(kind, is_reversed, projection):
    steps, batch, features, hidden = 4, 2, 3, 5
    case = f"{kind}{'_reversed' if is_reversed else ''}{'_projected' if projection else ''}"
    source = numbers(case)
    options = {"proj_size": projection} if projection else {}
    layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](features, hidden, **options).double()
    fields = {"x": normal(source, steps, batch, features)}
    names = ["weightInput", "weightState", "biasInput", "biasState"]
    for name, parameter in zip(names, [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]):
        fields[name] = normal(source, *parameter.shape, scale=0.6)
        parameter.data.copy_(fields[name])
    fields["state"] = normal(source, batch, projection or hidden)
    if kind == "lstm":
        fields["cell"] = normal(source, batch, hidden)
    if projection:
        fields["projection"] = normal(source, projection, hidden)
        layer.weight_hr_l0.data.copy_(fields["projection"])
    leaves = {name: fields[name].double().requires_grad_() for name in ["x", "state", "cell"] if name in fields}
    starts = [leaves[name].unsqueeze(0) for name in ["state", "cell"] if name in leaves]
    x = leaves["x"].flip(0) if is_reversed else leaves["x"]
    states, last = layer(x, tuple(starts) if kind == "lstm" else starts[0])
    results = [states.flip(0) if is_reversed else states, *(last if kind == "lstm" else [last])]
    seeds = [normal(source, *result.shape) for result in results]
    torch.autograd.backward(results, [seed.double() for seed in seeds])
    gradients = {f"d_{name}": value.grad for name, value in leaves.items()}
    parameters = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]
    gradients.update({f"d_{name}": parameter.grad for name, parameter in zip(names, parameters)})
    if projection:
        gradients["d_projection"] = layer.weight_hr_l0.grad
    fields.update({name: gradient.float() for name, gradient in gradients.items()})
    fields.update({f"seed{index}": seed.reshape(seed.shape[-3:] if index == 0 else seed.shape[-2:]) for index, seed in enumerate(seeds)})
    family.add(case, {"op": "recurrent", "kind": kind, "reversed": is_reversed}, fields)


def add_recurrent_form(case, kind, is_reversed, reset_first, lengths):
    """Forms that torch's layers lack, by its operations: the reset gate before its product, sequences that end."""
    steps, batch, features, hidden = 4, 2, 3, 5
    source = numbers(case)
    gates = 4 if kind == "lstm" else 3
    shapes = {
        "x": (steps, batch, features), "weightInput": (gates * hidden, features), "weightState": (gates * hidden, hidden),
        "biasInput": (gates * hidden,), "biasState": (gates * hidden,), "state": (batch, hidden),
    }
    if kind == "lstm":
        shapes["cell"] = (batch, hidden)
    fields = {name: normal(source, *shape, scale=0.6) for name, shape in shapes.items()}
    leaves = {name: value.double().requires_grad_() for name, value in fields.items()}
    x, w, r, b, c, state = [leaves[name] for name in ["x", "weightInput", "weightState", "biasInput", "biasState", "state"]]
    cell = leaves.get("cell")
    states = [None] * steps
    for step in reversed(range(steps)) if is_reversed else range(steps):
        row = (x[step] @ w.T + b).chunk(gates, 1)
        if kind == "lstm":
            i, f, g, o = [p + q for p, q in zip(row, (state @ r.T + c).chunk(gates, 1))]
            new_cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            new_state = o.sigmoid() * new_cell.tanh()
        else:
            hr, hz, hn = [state @ part.T + bias for part, bias in zip(r.chunk(3), c.chunk(3))]
            reset, update = (row[0] + hr).sigmoid(), (row[1] + hz).sigmoid()
            if reset_first:
                fresh = (row[2] + (reset * state) @ r.chunk(3)[2].T + c.chunk(3)[2]).tanh()
            else:
                fresh = (row[2] + reset * hn).tanh()
            new_state = fresh + update * (state - fresh)
            new_cell = None
        goes_on = torch.tensor([[step < length] for length in lengths]) if lengths else torch.ones(batch, 1, dtype=torch.bool)
        states[step] = torch.where(goes_on, new_state, torch.zeros_like(new_state))
        state = torch.where(goes_on, new_state, state)
        cell = torch.where(goes_on, new_cell, cell) if kind == "lstm" else None
    results = [torch.stack(states), state] + ([cell] if kind == "lstm" else [])
    seeds = [normal(source, *result.shape) for result in results]
    torch.autograd.backward(results, [seed.double() for seed in seeds])
    fields.update({f"d_{name}": value.grad.float() for name, value in leaves.items()})
    fields.update({f"seed{index}": seed for index, seed in enumerate(seeds)})
    if lengths:
        fields["lengths"] = torch.tensor(lengths)
    family.add(case, {"op": "recurrent", "kind": kind, "reversed": is_reversed, "reset_first": reset_first}, fields)


if __name__ == "__main__":
    main()
