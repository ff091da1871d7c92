"""What is read off results and trained networks: statistics, and why a network does not learn.

Imports anything but `jsnn.plots`; nothing but plots and experiments imports it.
"""
