"""A module of the job's own, beside it."""

import time

BUILT_AT = time.time()


def answer():
    import colorsys

    return colorsys.rgb_to_hsv(1, 0, 0)[1] * 42
