"""Parameters after 20 steps, and schedules, as PyTorch has them, in f64.

    python optim.py > optim_steps.txt

needs torch (2.15.0 made the file). The problem: p[i] = sin(i + 1) for i < 6, and the gradient of step
k (from 0) is g[i] = cos(k + 2 i) + p[i] / 4. Lines: the name of an optimizer and its six parameters
after 20 steps; or the name of a schedule and the rates of 20 steps; as rows for tests/test_optim.c.
"""
import math

import torch

N, STEPS = 6, 20

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "momentum_decay": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "nesterov_decay": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.8, weight_decay=0.05, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p),
    "adam_decay": lambda p: torch.optim.Adam(
        p, lr=0.05, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.05),
    "adamw": lambda p: torch.optim.AdamW(p),
    "adamw_decay": lambda p: torch.optim.AdamW(
        p, lr=0.05, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.2),
}

SCHEDULES = {
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=6, gamma=0.5),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20, eta_min=0.01),
    "linear": lambda o: torch.optim.lr_scheduler.LinearLR(
        o, start_factor=1.0, end_factor=0.1, total_iters=20),
    "one_cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, max_lr=0.5, total_steps=20),
}


def line(macro, name, values):
    print(f"{macro}({name}, {', '.join(f'{v:.17g}' for v in values)})")


def main():
    for name, make in OPTIMIZERS.items():
        p = torch.tensor([math.sin(i + 1) for i in range(N)], dtype=torch.float64, requires_grad=True)
        optimizer = make([p])
        for k in range(STEPS):
            wave = torch.tensor([math.cos(k + 2 * i) for i in range(N)], dtype=torch.float64)
            p.grad = wave + p.detach() / 4
            optimizer.step()
        line("STEPS", name, p.tolist())
    for name, make in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
        schedule = make(optimizer)
        rates = []
        for k in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        line("RATES", name, rates)


if __name__ == "__main__":
    main()
