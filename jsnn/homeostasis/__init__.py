"""What keeps a neuron's activity within bounds: the adaptive threshold and synaptic scaling.

Imports `jsnn.core` only.
"""
