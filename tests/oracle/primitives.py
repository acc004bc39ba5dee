#!/usr/bin/env python3
"""Writes primitives.txt beside itself: values and gradients by JAX in f64 for test_oracle.c.

    pip install jax && python3 tests/oracle/primitives.py

A case is a name, inputs (X for f64, I for i32), the output Y, a cotangent U and the gradient G of
each f64 input, each with rank, shape and numbers of 17 digits, which read back exactly.
"""
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import nn
from jax.scipy.special import logsumexp

jax.config.update("jax_enable_x64", True)
random = np.random.default_rng(2024)


def real(*shape, lo=-2.0, hi=2.0):
    return random.uniform(lo, hi, shape)


def positive(*shape):
    return real(*shape, lo=0.3, hi=3.0)


def index(*shape, below):
    return random.integers(0, below, shape, dtype=np.int32)


def with_slope(f, slope):
    """f with the derivative `slope`, where JAX's own one cancels: in the tails."""
    def g(x):
        here = jax.lax.stop_gradient(x)
        return f(here) + (x - here) * slope(here)
    return g


def choose(i, a, b):
    return jnp.where(i != 0, a, b)


def scatter_rows(x, i, updates):
    return x.at[i].add(updates)


def scatter_columns(x, i, updates):
    return x.at[:, i].add(updates)


def cross_entropy(logits, targets, smoothing=0.0):
    classes = logits.shape[1]
    if targets.ndim == 1:
        targets = nn.one_hot(targets, classes, dtype=logits.dtype)
    targets = (1 - smoothing) * targets + smoothing / classes
    return -(targets * nn.log_softmax(logits)).sum(axis=1)


def layer_norm(x, scale, shift):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / jnp.sqrt(variance + 1e-5) * scale + shift


def attention(q, k, v):
    return nn.softmax(q @ jnp.swapaxes(k, -1, -2) * 0.5, axis=-1) @ v


def mlp(x, w, b, v, c, labels):
    return cross_entropy(nn.sigmoid(x @ w + b) @ v + c, labels).mean()


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def gradient_norm(x):
    gradient = jax.grad(lambda z: (jnp.exp(jnp.sin(z)) * z).sum())
    return (gradient(x) ** 2).sum()


def recurrence(a, b, start):
    states = [start]
    for a_k, b_k in zip(a, b):
        states.append(a_k * states[-1] + b_k)
    return jnp.stack(states)


def recurrence_back(a, b, start):
    a = jnp.broadcast_to(a, b.shape)
    return recurrence(a[::-1], b[::-1], jnp.broadcast_to(start, b[0].shape))[::-1]


def pendulum(state):
    for _ in range(5):
        angle, speed = state[0], state[1] - 0.1 * jnp.sin(state[0])
        state = jnp.stack([angle + 0.1 * speed, speed])
    return state


# Kinks are left to test_kinks.c.
unary = {
    "neg": jnp.negative, "abs": jnp.abs, "exp": jnp.exp, "expm1": jnp.expm1, "sin": jnp.sin,
    "cos": jnp.cos, "tanh": jnp.tanh, "sigmoid": nn.sigmoid, "softplus": nn.softplus,
    "relu": nn.relu, "square": jnp.square,
}
unary_positive = {
    "log": jnp.log, "log1p": jnp.log1p, "sqrt": jnp.sqrt, "rsqrt": lambda x: 1 / jnp.sqrt(x),
    "reciprocal": jnp.reciprocal,
}
binary = {
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "mul0": jnp.multiply,
    "maximum": jnp.maximum, "minimum": jnp.minimum,
}
reductions = {
    "sum": jnp.sum, "mean": jnp.mean, "prod": jnp.prod, "max": jnp.max, "min": jnp.min,
    "logsumexp": lambda x, axis=None, keepdims=False: logsumexp(x, axis=axis, keepdims=keepdims),
}


def cases():
    for name, f in unary.items():
        yield name, f, [real(2, 3, lo=-3, hi=3)]
    for name, f in unary_positive.items():
        yield name, f, [positive(2, 3)]
    tanh = with_slope(jnp.tanh, lambda x: 1 / jnp.cosh(x) ** 2)
    sigmoid = with_slope(nn.sigmoid, lambda x: 0.25 / jnp.cosh(x / 2) ** 2)
    yield "tanh_tails", tanh, [np.array([-18.0, -7.5, 1e-9, 7.5, 18.0])]
    yield "sigmoid_tails", sigmoid, [np.array([-700.0, -40.0, 40.0, 700.0])]
    yield "softplus_tails", nn.softplus, [np.array([-700.0, -40.0, 40.0, 700.0])]
    yield "expm1_small", jnp.expm1, [np.array([1e-12, -1e-9])]
    for name, f in binary.items():
        yield name, f, [real(2, 3), real(2, 3)]
        yield name + "_broadcast", f, [real(2, 1, 3), real(2, 1)]
    yield "div", jnp.divide, [real(2, 3), positive(3)]
    yield "pow", jnp.power, [positive(2, 3), real(3)]
    yield "clamp", lambda x: jnp.clip(x, -0.7, 1.1), [real(2, 4)]
    yield "scale", lambda x: -1.7 * x, [real(2, 3)]
    yield "shift", lambda x: x + 0.3, [real(2, 3)]
    yield "where", choose, [index(2, 3, below=2), real(2, 3), real(3)]
    for name, f in reductions.items():
        yield name, f, [real(2, 3)]
        yield name + "_first", lambda x, f=f: f(x, axis=0), [real(3, 4)]
        yield name + "_outer", lambda x, f=f: f(x, axis=(0, 2), keepdims=True), [real(2, 3, 2)]
    yield "prod_zero", jnp.prod, [np.array([2.0, 0.0, -3.0])]
    yield "max_tie", jnp.max, [np.array([1.0, 3.0, 3.0, 2.0])]
    yield "logsumexp_large", logsumexp, [np.array([1000.0, 999.0, -1000.0])]
    yield "sort", lambda x: jnp.sort(x, axis=0), [real(4, 2)]
    yield "sort_down", lambda x: -jnp.sort(-x, axis=-1), [real(2, 4)]
    yield "reshape", lambda x: x.reshape(3, 2), [real(2, 3)]
    yield "permute", lambda x: x.transpose(2, 0, 1), [real(2, 3, 2)]
    yield "broadcast_to", lambda x: jnp.broadcast_to(x, (2, 3, 2)), [real(3, 1)]
    yield "slice", lambda x: x[:, 1::2], [real(2, 5)]
    yield "slice_back", lambda x: x[:, :0:-2], [real(2, 5)]
    yield "flip", lambda x: jnp.flip(x, (0, 1)), [real(2, 3)]
    yield "concat", lambda a, b: jnp.concatenate([a, b], axis=1), [real(2, 3), real(2, 1)]
    yield "stack", lambda a, b: jnp.stack([a, b], axis=1), [real(2, 3), real(2, 3)]
    yield "pad", lambda x: jnp.pad(x, ((0, 0), (2, 1))), [real(2, 2)]
    yield "matmul", jnp.matmul, [real(2, 3), real(3, 4)]
    yield "matmul_vector", jnp.matmul, [real(2, 3), real(3)]
    yield "matmul_dot", jnp.matmul, [real(4), real(4)]
    yield "matmul_batch", jnp.matmul, [real(2, 1, 2, 3), real(2, 3, 2)]
    yield "gather", lambda x, i: x[i], [real(4, 2), index(2, 2, below=4)]
    yield "gather_last", lambda x, i: x[:, i], [real(2, 4), index(3, below=4)]
    yield "scatter_add", scatter_rows, [real(3, 2), index(4, below=3), real(4, 2)]
    yield "scatter_add_last", scatter_columns, [real(2, 3), index(4, below=3), real(2, 4)]
    yield "softmax", lambda x: nn.softmax(x, axis=-1), [real(2, 4, lo=-5, hi=5)]
    yield "softmax_first", lambda x: nn.softmax(x, axis=0), [real(3, 2)]
    yield "log_softmax", lambda x: nn.log_softmax(x, axis=-1), [real(2, 4, lo=-5, hi=5)]
    logits, labels = real(4, 3), index(4, below=3)
    yield "cross_entropy", lambda x, t: cross_entropy(x, t).mean(), [logits, labels]
    yield "cross_entropy_smooth", lambda x, t: cross_entropy(x, t, 0.1).sum(), [logits, labels]
    yield "cross_entropy_soft", lambda x, t: cross_entropy(x, t, 0.1), [real(2, 3), positive(2, 3)]
    yield "norm", lambda x: jnp.sqrt((x**2).sum(axis=1)), [real(2, 3)]
    yield "layer_norm", layer_norm, [real(2, 4), real(4), real(4)]
    yield "attention", attention, [real(2, 3, 2), real(2, 4, 2), real(2, 4, 2)]
    yield "mlp", mlp, [real(4, 3), real(3, 5), real(5), real(5, 3), real(3), index(4, below=3)]
    yield "rosenbrock", rosenbrock, [real(4)]
    yield "pendulum", pendulum, [real(2)]
    yield "variance", lambda x: ((x - x.mean(0)) ** 2).mean(0), [real(4, 3)]
    yield "gradient_norm", gradient_norm, [real(3)]
    zeros = real(3, 4)
    zeros[1, 1] = zeros[2, 0] = zeros[2, 3] = 0
    yield "prod_zeros", lambda x: jnp.prod(x, axis=1), [zeros]
    yield "cumprod", lambda x: jnp.cumprod(x, axis=1), [real(2, 4)]
    yield "cumprod_first", lambda x: jnp.cumprod(x, axis=0), [real(4, 2)]
    yield "cumprod_zeros", lambda x: jnp.cumprod(x, axis=1), [zeros]
    yield "linear_recurrence", recurrence, [real(4, 2), real(4, 2), real(2)]
    yield "linear_recurrence_reverse", recurrence_back, [real(), real(4, 2), real()]


def row(kind, array):
    array = np.asarray(array)
    numbers = ", ".join(f"{v:.17g}" for v in array.ravel().astype(np.float64))
    return f"{kind}({array.ndim}, ({', '.join(map(str, array.shape)) or 0}), {numbers})\n"


def text(name, f, inputs):
    floats = [k for k, x in enumerate(inputs) if x.dtype == np.float64]

    def of_floats(*xs):
        full = list(inputs)
        for k, x in zip(floats, xs):
            full[k] = x
        return f(*map(jnp.asarray, full))

    y, pull = jax.vjp(of_floats, *(jnp.asarray(inputs[k]) for k in floats))
    u = real(*y.shape)
    out = f"CASE({name})\n"
    for x in inputs:
        out += row("X" if x.dtype == np.float64 else "I", x)
    out += row("Y", y) + row("U", u)
    for g in pull(jnp.asarray(u)):
        out += row("G", g)
    return out


def main():
    path = pathlib.Path(__file__).with_name("primitives.txt")
    path.write_text("".join(text(*case) for case in cases()))


main()
