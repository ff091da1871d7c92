"""What everything else stands on: frozen dataclasses as pytrees, the protocols of components, ranges, errors, files.

Imports nothing of jsnn but itself.
"""
