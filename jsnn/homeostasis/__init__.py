"""Homeostasis keeps a neuron's activity within bounds: the adaptive threshold and synaptic scaling.

It imports `jsnn.core` only.
"""
