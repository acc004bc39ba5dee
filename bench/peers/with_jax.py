"""The tasks of derivatives.c in JAX, each compiled once."""

import os

os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp

import peer

params = [
    (jnp.array(peer.uniform(n_out, n_in)), jnp.zeros(n_out))
    for n_in, n_out in zip(peer.WIDTHS, peer.WIDTHS[1:])
]
directions = jax.tree.map(jnp.ones_like, params)
x = jnp.array(peer.uniform(peer.BATCH, peer.WIDTHS[0]))
labels = jnp.array(peer.labels())
matrices = [jnp.array(peer.uniform(peer.ROWS, n)) for n in peer.COLUMNS]
vectors = [jnp.ones(n) for n in peer.COLUMNS]


def loss(params, x, labels):
    for i, (weight, bias) in enumerate(params):
        x = x @ weight.T + bias
        if i + 1 < len(params):
            x = jax.nn.relu(x)
    picked = jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], axis=1)
    return -picked.mean()


def one_loss(params, x, label):
    return loss(params, x[None], label[None])


def hvp(params, directions, x, labels):
    return jax.jvp(lambda p: jax.grad(loss)(p, x, labels), (params,), (directions,))[1]


def compiled(f, *args):
    f = jax.jit(f)
    return lambda: jax.block_until_ready(f(*args))


def product(a, x):
    return a @ x


peer.serve(
    "JAX " + jax.__version__,
    {
        "function": compiled(loss, params, x, labels),
        "gradient": compiled(jax.grad(loss), params, x, labels),
        "hvp": compiled(hvp, params, directions, x, labels),
        "per_sample": compiled(
            jax.vmap(jax.grad(one_loss), (None, 0, 0)), params, x, labels
        ),
        "jacobian_reverse": compiled(jax.jacrev(product, 1), matrices[0], vectors[0]),
        "jacobian_forward": compiled(jax.jacfwd(product, 1), matrices[1], vectors[1]),
    },
)
