"""The tasks of derivatives.c in PyTorch: eager, and with torch.func where it is a transform."""

import torch
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap

import peer

torch.set_num_threads(1)

layers = []
for n_in, n_out in zip(peer.WIDTHS, peer.WIDTHS[1:]):
    layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
model = torch.nn.Sequential(*layers[:-1])
params = list(model.parameters())
named = {name: p.detach() for name, p in model.named_parameters()}
directions = {name: torch.ones_like(p) for name, p in named.items()}
x = torch.tensor(peer.uniform(peer.BATCH, peer.WIDTHS[0]))
labels = torch.tensor(peer.labels())
matrices = [torch.tensor(peer.uniform(peer.ROWS, n)) for n in peer.COLUMNS]
vectors = [torch.ones(n) for n in peer.COLUMNS]


def recorded():
    return torch.nn.functional.cross_entropy(model(x), labels)


def function():
    with torch.no_grad():
        return recorded()


def loss(named, x, labels):
    return torch.nn.functional.cross_entropy(functional_call(model, named, (x,)), labels)


def one_loss(named, x, label):
    return loss(named, x[None], label[None])


def product(a, x):
    return a @ x


peer.serve(
    "PyTorch " + torch.__version__,
    {
        "function": function,
        "recorded": recorded,
        "gradient": lambda: torch.autograd.grad(recorded(), params),
        "hvp": lambda: jvp(lambda p: grad(loss)(p, x, labels), (named,), (directions,))[1],
        "per_sample": lambda: vmap(grad(one_loss), (None, 0, 0))(named, x, labels),
        "jacobian_reverse": lambda: jacrev(product, 1)(matrices[0], vectors[0]),
        "jacobian_forward": lambda: jacfwd(product, 1)(matrices[1], vectors[1]),
    },
)
