"""What the use cases need of the outside, as protocols.

The docstrings are the contracts; one test suite per port holds them.
"""
