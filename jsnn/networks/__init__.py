"""Networks as frozen dataclasses: the competitive network of local plasticity, the feedforward network of gradients.

Imports models (encoders, neurons, rules, ...) and what is below them; knows of no data set, device or learner.
"""
