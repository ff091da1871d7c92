"""The foundation: frozen dataclasses as pytrees, the protocols of components, ranges of numbers, errors and files.

It imports nothing of jsnn but itself.
"""
