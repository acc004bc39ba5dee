"""What the peers in Python share: the sizes, the numbers and the protocol of support/peer.h."""

import os
import random
import struct
import sys
import time

BATCH, WIDTHS = 128, (784, 256, 128, 10)
ROWS, COLUMNS = 100, (10000, 1000)  # of the Jacobians: reverse, forward
THREADS = int(os.environ.get("CT_BENCH_THREADS", "1"))

now = time.process_time if THREADS == 1 else time.perf_counter


def uniform(*shape):
    """Nested lists of that shape, the same at every start."""
    rng = random.Random(1)

    def make(dims):
        return [make(dims[1:]) for _ in range(dims[0])] if dims else rng.uniform(-0.05, 0.05)

    return make(shape)


def labels():
    return [i % WIDTHS[-1] for i in range(BATCH)]


def answer(ask):
    """Answers each line "task runs" with what ask(task, runs) returns."""
    for line in sys.stdin:
        task, runs = line.split()
        print(ask(task, int(runs)), flush=True)


def serve(name, tasks):
    print(name, flush=True)

    def ask(task, runs):
        run = tasks.get(task)
        start = now()
        for _ in range(runs if run else 0):
            run()
        return now() - start if run else -1

    answer(ask)


def read_point(numpy):
    """The point of support/trainee.h: relu or not, rate, x, labels, [(weight, bias), ...]."""
    with open(os.environ["CT_BENCH_POINT"], "rb") as file:
        layers, relu, batch = struct.unpack("3i", file.read(12))
        widths = struct.unpack(f"{layers + 1}i", file.read(4 * layers + 4))
        (rate,) = struct.unpack("f", file.read(4))

        def array(dtype, *shape):
            size = 4 * int(numpy.prod(shape))
            return numpy.frombuffer(file.read(size), dtype).reshape(shape).copy()

        x, labels = array("f4", batch, widths[0]), array("i4", batch)
        params = [
            (array("f4", n_out, n_in), array("f4", n_out))
            for n_in, n_out in zip(widths, widths[1:])
        ]
    return relu == 1, rate, x, labels, params


def serve_steps(name, load):
    """load() makes the network of the point and returns steps(n), which does n steps and returns
    the loss of the last one; it is a number, so everything is done by then."""
    print(name, flush=True)
    steps = None

    def ask(task, runs):
        nonlocal steps
        if task == "load":
            steps = load()
            return steps(runs)
        start = now()
        steps(runs)
        return now() - start

    answer(ask)
