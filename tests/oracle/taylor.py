#!/usr/bin/env python3
"""Prints the Taylor coefficients that tests/test_taylor.c compares with, by mpmath at 80 digits.

    pip install mpmath && python3 tests/oracle/taylor.py

Every smooth unary primitive f in turn: t <- t + f(c + r sin t) / 4, from t = x on, at x = 0.4.
"""
from mpmath import mp

mp.dps = 80
half, root = mp.mpf(1) / 2, mp.sqrt(2 / mp.pi)


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def polygamma_2(x):
    return mp.psi(2, x)


FUNCTIONS = [
    (lambda x: -x, 0, 1), (mp.exp, 0, 1), (mp.expm1, 0, 1), (mp.log, 2, 1), (mp.log1p, 1, 1),
    (mp.sqrt, 2, 1), (lambda x: 1 / mp.sqrt(x), 2, 1), (lambda x: x * x, 0, 1),
    (lambda x: 1 / x, 2, 1), (mp.sin, 0, 2), (mp.cos, 0, 2), (mp.tan, 0, half),
    (mp.asin, 0, half), (mp.acos, 0, half), (mp.atan, 0, 2), (mp.sinh, 0, 1), (mp.cosh, 0, 1),
    (mp.tanh, 0, 2), (mp.erf, 0, 1), (mp.erfc, 0, 1), (mp.erfinv, 0, half),
    (mp.loggamma, 2, 1), (polygamma_2, 2, 1), (sigmoid, 0, 2),
    (lambda x: mp.log(sigmoid(x)), 0, 2), (lambda x: mp.log1p(mp.exp(x)), 0, 2),
    (lambda x: x * sigmoid(x), 0, 2), (lambda x: x * (1 + mp.erf(x / mp.sqrt(2))) / 2, 0, 1),
    (lambda x: x * (1 + mp.tanh(root * (x + mp.mpf("0.044715") * x**3))) / 2, 0, 1),
]


def chain(x):
    for f, c, r in FUNCTIONS:
        x = x + f(c + r * mp.sin(x)) / 4
    return x


for coefficient in mp.taylor(chain, mp.mpf("0.4"), 6):
    print(mp.nstr(coefficient.real, 20))
