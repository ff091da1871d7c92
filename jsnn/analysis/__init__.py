"""Analysis of results and of trained networks: statistics, STDP windows, and why a network does not learn.

It imports anything but `jsnn.plots`; only plots and experiments import it.
"""
