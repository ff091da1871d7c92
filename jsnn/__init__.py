"""jsnn: spiking neural networks as pure functions, for studies of encoders, neurons and learning rules in JAX."""

__version__ = "0.1.0"
