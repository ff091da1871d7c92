"""Learning by local plasticity: what a trial learns and answers, by which engine, and in which order."""
