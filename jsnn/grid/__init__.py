"""Many trials at once: how they are grouped, spread over devices, and over the processes that own them.

Imports `jsnn.core`, `jsnn.networks` and `jsnn.engines`; knows of no learner.
"""
