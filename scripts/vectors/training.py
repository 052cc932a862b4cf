"""Makes training.safetensors: losses with their gradients, 20 steps of each optimizer, and learning rates, as torch computes
them (losses and optimizers in float64, rounded once to float32)."""

import torch
import torch.nn.functional as F

from common import Family, normal, numbers, uniform

STEPS = 20

family = Family("training")


def main():
    class_losses()
    other_losses()
    optimizers()
    schedules()
    family.write()


def add_loss(case, attributes, fields, function):
    leaf = fields["x"].double().requires_grad_()
    loss = function(leaf)
    loss.backward()
    family.add(case, attributes, {**fields, "loss": loss.detach().float(), "dx": leaf.grad.float()})


def class_losses():
    for name, shape in [("rows", (6, 5)), ("images", (2, 4, 3, 2))]:
        for weighted in [False, True]:
            for smoothing in [0.0, 0.1]:
                case = f"cross_entropy_{name}{'_weighted' if weighted else ''}{'_smoothed' if smoothing else ''}"
                source = numbers(case)
                x = normal(source, *shape, scale=2)
                labels = torch.from_numpy(source.integers(0, shape[1], (shape[0], *shape[2:])))
                fields = {"x": x, "labels": labels}
                if weighted:
                    fields["weight"] = uniform(source, 0.5, 2, shape[1])
                weight = fields["weight"].double() if weighted else None
                attributes = {"loss": "cross_entropy", "smoothing": smoothing, "weighted": weighted}
                add_loss(case, attributes, fields, lambda x: F.cross_entropy(x, labels, weight, label_smoothing=smoothing))
    case = "cross_entropy_probabilities"
    source = numbers(case)
    target = F.softmax(normal(source, 6, 5), 1)
    fields = {"x": normal(source, 6, 5), "labels": target}
    attributes = {"loss": "cross_entropy", "smoothing": 0.1, "weighted": False}
    add_loss(case, attributes, fields, lambda x: F.cross_entropy(x, target.double(), label_smoothing=0.1))
    case = "nll"
    source = numbers(case)
    labels = torch.from_numpy(source.integers(0, 5, 6))
    weight = uniform(source, 0.5, 2, 5)
    fields = {"x": F.log_softmax(normal(source, 6, 5), 1), "labels": labels, "weight": weight}
    add_loss(case, {"loss": "nll"}, fields, lambda x: F.nll_loss(x, labels, weight.double()))


def other_losses():
    for loss, function in {"mse": F.mse_loss, "l1": F.l1_loss}.items():
        source = numbers(loss)
        fields = {"x": normal(source, 3, 4, 2), "target": normal(source, 3, 4, 2)}
        add_loss(loss, {"loss": loss}, fields, lambda x: function(x, fields["target"].double()))
    for weighted in [False, True]:
        case = f"bce{'_weighted' if weighted else ''}"
        source = numbers(case)
        fields = {"x": normal(source, 4, 3, scale=3), "target": uniform(source, 0, 1, 4, 3)}
        if weighted:
            fields["weight"] = uniform(source, 0.5, 3, 3)
        weight = fields["weight"].double() if weighted else None
        add_loss(case, {"loss": "bce", "weighted": weighted}, fields,
                 lambda x: F.binary_cross_entropy_with_logits(x, fields["target"].double(), pos_weight=weight))
    for temperature in [1.0, 4.0]:
        case = f"distillation_{int(temperature)}"
        source = numbers(case)
        fields = {"x": normal(source, 6, 5, scale=3), "teacher": normal(source, 6, 5, scale=3)}
        teacher = F.log_softmax(fields["teacher"].double() / temperature, 1)
        add_loss(case, {"loss": "distillation", "temperature": temperature}, fields, lambda x: temperature**2 * F.kl_div(
            F.log_softmax(x / temperature, 1), teacher, reduction="batchmean", log_target=True))


def optimizers():
    cases = {
        "sgd": (torch.optim.SGD, {"lr": 0.1}),
        "sgd_momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        "sgd_nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02}),
        "adam": (torch.optim.Adam, {"lr": 0.01}),
        "adam_decay": (torch.optim.Adam, {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.1}),
        "adamw": (torch.optim.AdamW, {"lr": 0.01}),
        "adamw_decay": (torch.optim.AdamW, {"lr": 0.02, "betas": [0.8, 0.95], "weight_decay": 0.3}),
        "rmsprop": (torch.optim.RMSprop, {"lr": 0.01}),
        "rmsprop_momentum": (torch.optim.RMSprop, {"lr": 0.005, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.05}),
    }
    for case, (kind, options) in cases.items():
        source = numbers(case)
        start = [normal(source, 3, 4), normal(source, 5)]
        gradients = [normal(source, STEPS, *value.shape) for value in start]
        parameters = [torch.nn.Parameter(value.double()) for value in start]
        # The second has a learning rate and a decay of its own.
        groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": options["lr"] * 0.5, "weight_decay": 0.0}]
        optimizer = kind(groups, **options)
        history = [[], []]
        for step in range(STEPS):
            for parameter, gradient in zip(parameters, gradients):
                parameter.grad = gradient[step].double()
            optimizer.step()
            for values, parameter in zip(history, parameters):
                values.append(parameter.detach().clone())
        fields = {}
        for index in range(2):
            fields[f"start{index}"] = start[index]
            fields[f"gradients{index}"] = gradients[index]
            fields[f"history{index}"] = torch.stack(history[index]).float()
        family.add(case, {"optimizer": kind.__name__, **options}, fields)
    case = "clip_grad_norm"
    source = numbers(case)
    parameters = [torch.nn.Parameter(normal(source, 3, 4)), torch.nn.Parameter(normal(source, 5))]
    fields = {}
    for index, parameter in enumerate(parameters):
        parameter.grad = normal(source, *parameter.shape)
        fields[f"before{index}"] = parameter.grad.clone()
    fields["norm"] = torch.nn.utils.clip_grad_norm_(parameters, 1.5)
    for index, parameter in enumerate(parameters):
        fields[f"after{index}"] = parameter.grad
    family.add(case, {"maximum": 1.5}, fields)


def schedules():
    scheduler = torch.optim.lr_scheduler
    cases = {
        "schedule_step": lambda o: scheduler.StepLR(o, 7, 0.5),
        "schedule_cosine": lambda o: scheduler.CosineAnnealingLR(o, 20, 0.1),
        "schedule_one_cycle": lambda o: scheduler.OneCycleLR(o, 1.0, total_steps=30),
        "schedule_warm_up": lambda o: scheduler.SequentialLR(
            o, [scheduler.LinearLR(o, 0.25, 1.0, 5), scheduler.CosineAnnealingLR(o, 15)], [5]),
    }
    for case, make in cases.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer)
        rates = []
        for _ in range(20 if case != "schedule_one_cycle" else 30):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        family.add(case, {}, {"rates": torch.tensor(rates, dtype=torch.float64).float()})


if __name__ == "__main__":
    main()
