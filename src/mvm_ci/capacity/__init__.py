"""What load tests found, and what follows from it. Pure: no I/O.

``results`` is what a run writes down and all others read; ``hdr`` holds latencies; ``usl`` fits a curve;
``curve`` makes curves of results, and finds their knees; ``plan`` and ``decide`` answer.
"""
