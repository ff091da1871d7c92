"""Engines: ways to compute what a presentation does. `dense` is the definition."""
