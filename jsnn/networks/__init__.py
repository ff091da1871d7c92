"""Networks as frozen dataclasses: the competitive network of local plasticity, the feedforward network of gradients.

It imports models (encoders, neurons, rules, ...) and what is below them; it knows of no data set, device or learner.
"""
