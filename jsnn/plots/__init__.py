"""Figures from results, never from live objects: pure functions from records and arrays to figures.

They are built without pyplot: they are the caller's alone.
"""

from jsnn.plots.gradients import pareto, progress
from jsnn.plots.networks import confusion_matrix, presentation, receptive_fields, thresholds, voltages
from jsnn.plots.records import raster, stdp_window, voltage
from jsnn.plots.studies import ANN, LABELS, accuracy_matrix, label, learning_curves, sweep, swept_curves, tuning, word
from jsnn.plots.style import ACCENT, COLOURS, FORMATS, HEAT, MUTED, STYLE, check_format, save

__all__ = [
    "ACCENT", "ANN", "COLOURS", "FORMATS", "HEAT", "LABELS", "MUTED", "STYLE", "accuracy_matrix", "check_format",
    "confusion_matrix", "label", "learning_curves", "pareto", "presentation", "progress", "raster", "receptive_fields",
    "save", "stdp_window", "sweep", "swept_curves", "thresholds", "tuning", "voltage", "voltages", "word",
]  # fmt: skip
