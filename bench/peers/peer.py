"""What the peers in Python share: the sizes, the numbers and the protocol of support/peer.h."""

import random
import sys
import time

BATCH, WIDTHS = 128, (784, 256, 128, 10)
ROWS, COLUMNS = 100, (10000, 1000)  # of the Jacobians: reverse, forward


def uniform(*shape):
    """Nested lists of that shape, the same at every start."""
    rng = random.Random(1)

    def make(dims):
        return [make(dims[1:]) for _ in range(dims[0])] if dims else rng.uniform(-0.05, 0.05)

    return make(shape)


def labels():
    return [i % WIDTHS[-1] for i in range(BATCH)]


def serve(name, tasks):
    print(name, flush=True)
    for line in sys.stdin:
        task, runs = line.split()
        run = tasks.get(task)
        start = time.process_time()
        for _ in range(int(runs) if run else 0):
            run()
        print(time.process_time() - start if run else -1, flush=True)
