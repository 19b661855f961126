"""The last step of building a guest: its memory is left as a run needs it.

The memory is a file that each run shares until it writes to a page; each first write to a page costs a copy, each call of
the host more than all that Python does in a small job.
"""

import gc
import os
import random

_ROUNDS = 20
# From the largest pieces to the smallest ones that the interpreter takes from the C library.
_PIECES = (1 << 20, 1 << 18, 1 << 16, 1 << 14, 1 << 13, 1 << 12, 2048, 1024, 600)


def settle(run):
    """``run`` does with a JSON object what a run does beside its job."""
    for _ in range(_ROUNDS):
        # Code that has run a few times is specialized: from then on it does not write to itself.
        _seed_once()
        run('{"a": [1, "b", 2.5, null]}')
    random.seed = _seed_once
    gc.collect()
    _clear_what_is_free()
    # No collection of a run looks at what is here already, and so writes to it.
    gc.freeze()


_seed = random.seed


def _seed_once():
    """What is called at the start of a run. The library's own function would ask the host ten times for 256 bytes; this
    asks once for 32, and puts that one back.
    """
    random.seed = _seed
    _seed(int.from_bytes(os.urandom(32)))


def _clear_what_is_free():
    """Fills free memory with zeroes, which take no room in the module; does not let the memory grow."""
    top = max(map(id, gc.get_objects()))
    taken = []
    for size in _PIECES:
        while id(piece := bytes(size)) < top:
            taken.append(piece)
