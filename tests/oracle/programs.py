#!/usr/bin/env python3
"""Adds values and gradients by JAX in f64 to random programs, for test_oracle_programs.c.

    pip install jax
    test_random_programs_long --emit 212 | python3 tests/oracle/programs.py > tests/oracle/programs.txt

(jax 0.10 made the file, in some minutes.) A program is a list of nodes: leaves X (f64), I (i32), B (bool), and NODE
with the row of random_programs.def or the elementwise primitive, the operands and the attributes.
OUT names the outputs. Here each gets its value Y, and each X its gradient G, where the cotangent of
element i of an output is ((7 i + 3) mod 11 - 5) / 4. What JAX lacks is written out below.
"""
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jax.scipy import special

jax.config.update("jax_enable_x64", True)


# ---- attributes as the rows read them ----

def axes(a):
    return tuple(a[1:1 + a[0]]) or None


def shape(a):
    return tuple(a[1:1 + a[0]])


def reduction(f):
    return lambda a, x: f(x, axis=axes(a), keepdims=bool(a[9]))


def elementwise(f):
    return lambda a, *x: f(*x)


# ---- operations ----

def flip_sort(x, axis, down):
    return jnp.flip(jnp.sort(x, axis=axis), axis=axis) if down else jnp.sort(x, axis=axis)


def argsort(x, axis, down):
    return jnp.argsort(-x if down else x, axis=axis, stable=True).astype(jnp.int32)


def cut(axis, start, stop, step):
    return (slice(None),) * axis + (slice(start, stop, step),)


def from_start(axis, x):
    return axis + x.ndim if axis < 0 else axis


def sliced(x, axis, start, stop, step):
    return x[cut(from_start(axis, x), start, stop, step)]


def updated(x, u, axis, start, stop, step):
    return x.at[cut(from_start(axis, x), start, stop, step)].set(u)


def padded(x, axis, before, after):
    width = [(0, 0)] * x.ndim
    width[axis] = (before, after)
    return jnp.pad(x, width)


def scattered(x, index, updates, axis, add):
    axis = from_start(axis, x)
    moved = tuple(range(axis, axis + index.ndim))
    updates = jnp.moveaxis(updates, moved, tuple(range(index.ndim)))
    rows = jnp.moveaxis(x, axis, 0)
    updates = updates.reshape((index.size,) + rows.shape[1:])
    for k, i in enumerate(np.asarray(index).ravel()):  # in order: the last of equal ones wins
        rows = rows.at[i].add(updates[k]) if add else rows.at[i].set(updates[k])
    return jnp.moveaxis(rows, 0, axis)


def cumsum(x, axis, exclusive, reverse):
    y = jnp.flip(jnp.cumsum(jnp.flip(x, axis), axis), axis) if reverse else jnp.cumsum(x, axis)
    return y - x if exclusive else y


def recurrence(a, b, start, axis, reverse):
    a, b, start = (jnp.moveaxis(x, axis, 0) for x in (a, b, start))
    states = [start[0]]
    for k in range(len(a))[::-1 if reverse else 1]:
        states.append(a[k] * states[-1] + b[k])
    return jnp.moveaxis(jnp.stack(states[::-1] if reverse else states), 0, axis)


def cross_entropy(x, targets, smoothing, how):
    classes = x.shape[1]
    if targets.ndim == 1:
        targets = nn.one_hot(targets, classes, dtype=x.dtype)
    targets = (1 - smoothing) * targets + smoothing / classes
    each = -(targets * nn.log_softmax(x)).sum(axis=1)
    return [each.mean, each.sum, lambda: each][how]()


def pulled(f):
    return lambda a, x, gy, *more: jax.vjp(lambda x: f(x, *more), x)[1](gy)[0]


def pushed(f):
    return lambda a, x, dx: jax.jvp(f, (x,), (dx,))[1]


def conv2d(a, x, w):
    return lax.conv_general_dilated(
        x, w, a[0:2], [(p, p) for p in a[2:4]], rhs_dilation=a[4:6], feature_group_count=a[6])


def conv2d_transpose(a, x, w):
    image = [(x.shape[2 + k] - 1) * a[k] + (w.shape[2 + k] - 1) * a[4 + k] + 1 - 2 * a[2 + k]
             + a[7 + k] for k in range(2)]
    y = jnp.zeros((x.shape[0], w.shape[1] * a[6], *image))
    return jax.vjp(lambda y: conv2d(a, y, w), y)[1](x)[0]


def windows(a, x, start):
    """Every window of the last two axes in two new last ones; padding holds `start`."""
    pad = [(0, 0)] * (x.ndim - 2) + [(a[4], a[4]), (a[5], a[5])]
    x = jnp.pad(x, pad, constant_values=start)
    step = [a[2 + k] or a[k] for k in range(2)]
    count = [(x.shape[k - 2] - a[k]) // step[k] + 1 for k in range(2)]
    at = [np.arange(count[k])[:, None] * step[k] + np.arange(a[k]) for k in range(2)]
    return x[..., at[0][:, None, :, None], at[1][None, :, None, :]]


def maxpool(a, x):
    each = windows(a, x, -jnp.inf)
    each = each.reshape(each.shape[:-2] + (-1,))
    first = jnp.argmax(each, axis=-1, keepdims=True)
    return jnp.take_along_axis(each, first, -1)[..., 0]


def avgpool(a, x):
    return windows(a, x, 0).mean((-1, -2))


def cummax(x, axis):
    rows, out, best = jnp.moveaxis(x, axis, 0), [], None
    for row in rows:
        best = row if best is None else jnp.where(row > best, row, best)
        out.append(best)
    return jnp.moveaxis(jnp.stack(out), 0, axis) if out else x


def norm(a, x):
    p = a[10]
    x = abs(x)
    total = (x ** p).sum(axis=axes(a), keepdims=bool(a[9]))
    return jnp.where(total > 0, jnp.where(total > 0, total, 1) ** (1 / p), 0)


def std(a, x):
    v = jnp.var(x, axis=axes(a), ddof=a[10], keepdims=bool(a[9]))
    return jnp.where(v > 0, jnp.sqrt(jnp.where(v > 0, v, 1)), 0)


def layer_norm(a, x):
    centred = x - x.mean(axis=axes(a), keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(axis=axes(a), keepdims=True) + 0.01)


def diag(a, x):
    return jnp.diag(x)


def histogram(a, x, edges):
    edges = jnp.sort(edges)
    count = [((x >= lo) & (x < hi)).sum() for lo, hi in zip(edges[:-1], edges[1:])]
    count[-1] += (x == edges[-1]).sum()
    return jnp.stack(count).astype(jnp.int32)


def clamp(x, lo, hi):
    return jnp.where(x < lo, lo, jnp.where(x > hi, hi, x))


ROWS = {
    "scale": lambda a, x: x * (a[0] / 8),
    "shift": lambda a, x: x + a[0] / 8,
    "clamp": lambda a, x: clamp(x, a[0] / 8, a[1] / 8),
    "where": elementwise(jnp.where),
    "cast_same": lambda a, x: x,
    "cast_integer": lambda a, x: x.astype(jnp.int32),
    "cast_bool": lambda a, x: x != 0,
    "integer_real": lambda a, x: x.astype(jnp.float64),
    "bool_real": lambda a, x: x.astype(jnp.float64),
    "any": reduction(jnp.any),
    "all": reduction(jnp.all),
    "sum": reduction(jnp.sum),
    "mean": reduction(jnp.mean),
    "prod": reduction(jnp.prod),
    "max": reduction(jnp.max),
    "min": reduction(jnp.min),
    "logsumexp": reduction(special.logsumexp),
    "nansum": reduction(jnp.nansum),
    "nanmean": reduction(jnp.nanmean),
    "argmax": lambda a, x: jnp.argmax(x, a[0], keepdims=bool(a[1])).astype(jnp.int32),
    "argmin": lambda a, x: jnp.argmin(x, a[0], keepdims=bool(a[1])).astype(jnp.int32),
    "sort": lambda a, x: flip_sort(x, a[0], a[1]),
    "argsort": lambda a, x: argsort(x, a[0], a[1]),
    "reshape": lambda a, x: x.reshape(shape(a)),
    "permute": lambda a, x: jnp.transpose(x, shape(a)),
    "transpose": lambda a, x: jnp.swapaxes(x, a[0], a[1]),
    "broadcast_to": lambda a, x: jnp.broadcast_to(x, shape(a)),
    "slice": lambda a, x: sliced(x, *a[:4]),
    "flip": lambda a, x: jnp.flip(x, axes(a)),
    "concat": lambda a, *x: jnp.concatenate(x, a[0]),
    "concat_three": lambda a, *x: jnp.concatenate(x, a[0]),
    "stack": lambda a, *x: jnp.stack(x, a[0]),
    "split": lambda a, x: jnp.split(x, a[1], a[0])[a[2]],
    "pad": lambda a, x: padded(x, *a[:3]),
    "squeeze": lambda a, x: jnp.squeeze(x),
    "expand_dims": lambda a, x: jnp.expand_dims(x, a[0]),
    "matmul": elementwise(jnp.matmul),
    "gather": lambda a, x, i: jnp.take(x, i, a[0]),
    "scatter_add": lambda a, x, i, u: scattered(x, i, u, a[0], True),
    "scatter_set": lambda a, x, i, u: scattered(x, i, u, a[0], False),
    "update_slice": lambda a, x, u: updated(x, u, *a[:4]),
    "take_along": lambda a, x, i: jnp.take_along_axis(x, i, a[0]),
    "one_hot": lambda a, i: nn.one_hot(i, a[0], dtype=jnp.float64),
    "searchsorted": lambda a, s, x: jnp.searchsorted(
        jnp.sort(s), x, side="right" if a[0] else "left").astype(jnp.int32),
    "histogram": histogram,
    "cumsum": lambda a, x: cumsum(x, *a[:3]),
    "cumprod": lambda a, x: jnp.cumprod(x, a[0]),
    "cummax": lambda a, x: cummax(x, a[0]),
    "recurrence": lambda a, *x: recurrence(*x, *a[:2]),
    "conv2d": conv2d,
    "conv2d_transpose": conv2d_transpose,
    "maxpool": maxpool,
    "avgpool": avgpool,
    "pool_gradient": pulled(lambda x: avgpool([2, 2, 0, 0, 0, 0], x)),
    "norm": norm,
    "norm2": lambda a, x: norm([*a[:10], 2], x),
    "var_rows": lambda a, x: jnp.var(x, axis=-1, keepdims=True),
    "var_vjp": pulled(lambda x: x + jnp.var(x, axis=-1, keepdims=True)),
    "layer_norm_rows": lambda a, x: layer_norm([1, -1], x),
    "layer_norm_vjp": pulled(lambda x: layer_norm([1, -1], x)),
    "sort_vjp": pulled(lambda x: flip_sort(x, 1, False)),
    "var": lambda a, x: jnp.var(x, axis=axes(a), ddof=a[10], keepdims=bool(a[9])),
    "std": std,
    "layer_norm": layer_norm,
    "topk": lambda a, x: sliced(flip_sort(x, a[0], True), a[0], 0, a[1], 1),
    "median": lambda a, x: jnp.median(x, a[0], keepdims=bool(a[1])),
    "einsum_chain": lambda a, *x: jnp.einsum("ij,jk,kl->il", *x),
    "einsum_batch": lambda a, *x: jnp.einsum("bij,bjk->bki", *x),
    "einsum_outer": lambda a, *x: jnp.einsum("i,j,k->kij", *x),
    "einsum_trace": lambda a, x: jnp.einsum("ii->i", x),
    "tensordot": lambda a, x, y: jnp.tensordot(x, y, ((1, 2), (1, 0))),
    "outer": lambda a, x, y: jnp.outer(x, y),
    "kron": lambda a, x, y: jnp.kron(x, y),
    "diag": diag,
    "diagonal": lambda a, x: jnp.diagonal(x, 0, a[0], a[1]),
    "trace": lambda a, x: jnp.trace(x, 0, -2, -1),
    "tril": lambda a, x: jnp.tril(x, a[0]),
    "triu": lambda a, x: jnp.triu(x, a[0]),
    "roll": lambda a, x: jnp.roll(x, a[1] - 1, a[0]),
    "repeat": lambda a, x: jnp.repeat(x, a[2] + 1, a[0]),
    "tile": lambda a, x: jnp.tile(x, shape(a)),
    "meshgrid": lambda a, x, y: jnp.meshgrid(x, y, indexing="ij")[a[0]],
    "softmax": lambda a, x: nn.softmax(x, a[0]),
    "log_softmax": lambda a, x: nn.log_softmax(x, a[0]),
    "softmax_vjp": pulled(lambda x: nn.log_softmax(x, 1)),
    "softmax_jvp": pushed(lambda x: nn.log_softmax(x, 1)),
    "loss_labels": lambda a, x, t: cross_entropy(x, t, a[0] / 10, a[1]),
    "loss_soft": lambda a, x, t: cross_entropy(x, nn.softmax(t), a[0] / 10, a[1]),
    "loss_gradient": lambda a, x, t, gy: pulled(lambda x, t: cross_entropy(x, t, 0, 2))(a, x, gy, t),
    "vjp": pulled(lambda x: jnp.sin(x) * jnp.tanh(x)),
    "jvp": pulled(lambda x: jnp.cos(x) * nn.sigmoid(x)),
    "products": lambda a, x, y, z: x * y / 2 - 2 * y * z,
    "call": lambda a, x, y: jnp.sin(x) * (x + y),
    "squash": lambda a, x: a[1] / 1000 * jnp.sin(a[0] / 1000 * x) + a[2] / 1000,
    "custom_vjp": lambda a, x: x * jnp.sin(x),
    "custom_jvp": lambda a, x: x * jnp.sin(x),
    "elu": lambda a, x: jnp.where(x > 0, x, a[0] / 8 * jnp.expm1(jnp.minimum(x, 0))),
    "leaky_relu": lambda a, x: jnp.where(x > 0, x, a[0] / 8 * x),
    "polygamma": lambda a, x: special.polygamma(a[0], x),
    # elementwise, where numpy has another name
    "neg": elementwise(jnp.negative),
    "rsqrt": elementwise(lax.rsqrt),
    "sigmoid": elementwise(nn.sigmoid),
    "softplus": elementwise(nn.softplus),
    "relu": elementwise(nn.relu),
    "stop_gradient": elementwise(lax.stop_gradient),
    "sub": elementwise(jnp.subtract),
    "mul": elementwise(jnp.multiply),
    "mul0": elementwise(jnp.multiply),
    "div": elementwise(jnp.divide),
    "pow": elementwise(jnp.power),
    "copy": lambda a, x: x,
    "eq": elementwise(jnp.equal),
    "ne": elementwise(jnp.not_equal),
    "lt": elementwise(jnp.less),
    "le": elementwise(jnp.less_equal),
    "gt": elementwise(jnp.greater),
    "ge": elementwise(jnp.greater_equal),
    "asin": elementwise(jnp.arcsin),
    "acos": elementwise(jnp.arccos),
    "atan": elementwise(jnp.arctan),
    "atan2": elementwise(jnp.arctan2),
    "rem": elementwise(jnp.fmod),
    "erf": elementwise(special.erf),
    "erfc": elementwise(special.erfc),
    "erfinv": elementwise(special.erfinv),
    "lgamma": elementwise(special.gammaln),
    "log_sigmoid": elementwise(nn.log_sigmoid),
    "softsign": elementwise(nn.soft_sign),
    "silu": elementwise(nn.silu),
    "gelu": lambda a, x: nn.gelu(x, approximate=False),
    "gelu_tanh": lambda a, x: nn.gelu(x, approximate=True),
    "is_finite": elementwise(jnp.isfinite),
    "and": elementwise(jnp.logical_and),
    "or": elementwise(jnp.logical_or),
    "xor": elementwise(jnp.logical_xor),
    "not": elementwise(jnp.logical_not),
}


# hooks that let everything through
ROWS.update({name: lambda a, x: x for name in (
    "check", "show", "grad_check", "grad_print", "grad_scale", "grad_clip", "grad_clip_norm")})


def operation(name):
    return ROWS.get(name) or elementwise(getattr(jnp, name))


# ---- programs ----

class Symbols(dict):
    """Lets a line of a program be read as Python: the name of a row stands for itself."""
    def __missing__(self, key):
        return key


def tupled(x):
    return x if isinstance(x, tuple) else (x,)


def leaf(dtype):
    def read(rank, dim, *numbers):
        return np.array(numbers, dtype).reshape(tupled(dim)[:rank])
    return read


def use(name, operands, attributes):
    return name, tupled(operands), list(tupled(attributes)) + [0] * 12


def cotangent(y):
    i = np.arange(y.size)
    return jnp.asarray((((7 * i + 3) % 11 - 5) / 4).reshape(y.shape))


def run(nodes, outputs, floats):
    values, floats = [], iter(floats)
    for n in nodes:
        if isinstance(n, tuple):
            name, operands, attributes = n
            values.append(operation(name)(attributes, *(values[k] for k in operands)))
        elif n.dtype == np.float64:
            values.append(next(floats))
        else:
            values.append(jnp.asarray(n))
    return [values[k] for k in outputs]


def numbers(kind, x):
    x = np.asarray(x)
    dim = ", ".join(map(str, x.shape)) or "0"
    return f"{kind}({x.ndim}, ({dim}), {', '.join(f'{v:.15g}' for v in x.ravel())})\n"


def finish(nodes, outputs):
    floats = [jnp.asarray(n) for n in nodes if not isinstance(n, tuple) and n.dtype == np.float64]
    y, pull = jax.vjp(lambda *x: run(nodes, outputs, x), *floats)
    gradients = pull([cotangent(v) for v in y])
    return "".join([numbers("Y", v) for v in y] + [numbers("G", g) for g in gradients])


def main():
    nodes = []
    read = Symbols(PROGRAM=lambda seed: nodes.clear(), OUT=lambda *k: k, NODE=use,
                   X=leaf(np.float64), I=leaf(np.int32), B=leaf(bool))
    for line in sys.stdin:
        read["__builtins__"] = {}
        call = line.split("(", 1)[0]
        if call == "NODE":  # the row's name may be a word of Python
            name, rest = line[5:].split(",", 1)
            value = eval(f'NODE("{name}",{rest}', read)
        else:
            value = eval(line, read)
        sys.stdout.write(line)
        if call == "OUT":
            sys.stdout.write(finish(nodes, value))
        elif value is not None:
            nodes.append(value)


main()
