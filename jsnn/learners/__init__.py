"""Learners that are not local plasticity."""
