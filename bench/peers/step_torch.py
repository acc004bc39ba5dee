"""Training steps in PyTorch (peer.py): eager without modules, or the whole step compiled."""

import sys

import numpy
import torch
from torch.nn.functional import cross_entropy, linear

import peer

torch.set_num_threads(peer.THREADS)
compiled = sys.argv[1] == "compiled"


def load():
    relu, rate, x, labels, params = peer.read_point(numpy)
    activation = torch.relu if relu else torch.sigmoid
    x, labels = torch.from_numpy(x), torch.from_numpy(labels).long()
    params = [torch.from_numpy(p).requires_grad_() for pair in params for p in pair]

    def loss_of(params, x, labels):
        for i in range(0, len(params), 2):
            x = linear(x, params[i], params[i + 1])
            if i + 2 < len(params):
                x = activation(x)
        return cross_entropy(x, labels)

    def step(params, x, labels):
        if compiled:
            grads, loss = torch.func.grad_and_value(loss_of)(params, x, labels)
        else:
            loss = loss_of(params, x, labels)
            grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            torch._foreach_add_(params, grads, alpha=-rate)
        return loss

    if compiled:
        torch._dynamo.reset()
        step = torch.compile(step, dynamic=False)
        params = [p.detach() for p in params]

    def steps(n):
        for _ in range(n):
            loss = step(params, x, labels)
        return loss.item()

    return steps


peer.serve_steps(f"PyTorch {torch.__version__}, {sys.argv[1]}", load)
