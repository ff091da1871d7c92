"""Figures from results, never from live objects: pure functions from records and arrays to figures.

They are built without pyplot: they are the caller's alone.
"""

from jsnn.plots.gradients import pareto, progress
from jsnn.plots.networks import confusion_matrix, presentation, receptive_fields, thresholds, voltages
from jsnn.plots.studies import ANN, LABELS, accuracy_matrix, learning_curves, sweep, swept_curves, tuning, word
from jsnn.plots.style import ACCENT, COLOURS, HEAT, MUTED, STYLE, save

__all__ = [
    "ACCENT", "ANN", "COLOURS", "HEAT", "LABELS", "MUTED", "STYLE", "accuracy_matrix", "confusion_matrix",
    "learning_curves", "pareto", "presentation", "progress", "receptive_fields", "save", "sweep", "swept_curves",
    "thresholds", "tuning", "voltages", "word",
]  # fmt: skip
