"""Lanes of networks that learn by local plasticity; see `jsnn.runs.lanes.Kind`."""

import dataclasses
from typing import Any

import numpy as np

from jsnn.data import cache
from jsnn.grid.groups import Lane, LaneState
from jsnn.learners.plasticity import autotune, evaluation, plans, training
from jsnn.networks.competitive import Learned
from jsnn.runs.lanes import Job

SILENT = 0.9  # of the test images: a network that fires at fewer of them is warned of
start, train, n_windows = plans.start, training.train, training.n_windows


def begin(job: Job, lane: Lane) -> LaneState:
    """Untrained networks, and the way to train each cell."""
    state, run, chosen = plans.start(lane), job.cfg.run, []
    for c, cell in enumerate(lane.cells):
        entry, ways = job.cfg.entries[cell.index[0]], plans.ways(cell, run.engine, run.grid)
        if len(ways) > 1:
            engines = "; ".join(map(autotune.shown, ways))
            job.observer.phase(f"choosing an engine for {entry.encoder} x {entry.neuron} x {entry.rule} ({engines})")
        way, why = autotune.choose(lane, job.data, job.schedule, state, c, ways, cache.measured())
        chosen.append(way)
        refused = plans.refusals(cell).get("event")
        if refused and run.engine == "auto" and not plans.in_lockstep(cell.trials):
            why = f"{why}; not by event: {refused}".removeprefix("; ")
        if why:
            job.observer.chose(entry, autotune.shown(way), why)
    return dataclasses.replace(state, ways=tuple(chosen))


def arrays(state: LaneState) -> dict[str, Any]:
    """What is saved."""
    # orbax would store a None, and then miss it where there is one more of them
    learned = [{key: x for key, x in vars(cell).items() if x is not None} for cell in state.learned]
    return {"learned": learned, "labels": list(state.labels), "responses": list(state.responses)}


def fields(like: LaneState, arrays: dict[str, Any]) -> dict[str, Any]:
    """What was saved."""
    del like
    return {
        "learned": tuple(Learned(**cell) for cell in arrays["learned"]),
        "labels": tuple(np.asarray(x) for x in arrays["labels"]),
        "responses": tuple(np.asarray(x) for x in arrays["responses"]),
    }


def answers(job: Job, lane: Lane, state: LaneState) -> list[list[dict[str, Any]]]:
    """Neurons are labelled on training images, then test images are shown."""
    schedule, readout = job.schedule, job.cfg.run.readout
    found = evaluation.answer(
        lane,
        job.data,
        schedule,
        state.learned,
        job.observer.progress,
        state.responses,
        readout == "labelled_on_test_images",
    )
    lines = []
    for cell, answered in zip(lane.cells, found, strict=True):
        for i, a in zip(cell.index, answered, strict=True):
            if a.silent > SILENT:
                what = f"trial {i} is silent: no neuron fires at {100 * a.silent:.0f} % of the test images"
                job.observer.warn(f"{what}, which have no answer; more drive (network.gain) may help")
        n_neurons = cell.trials.network.n_neurons
        lines.append(
            [
                {
                    "n_presentations": schedule.n_train * schedule.epochs,
                    "n_assign": schedule.n_assign,
                    "readout": readout,
                    "accuracy": a.accuracy[readout],
                    "readouts": a.accuracy,
                    "confusions": a.confusion,
                    "neuron_labels": a.labels.tolist(),
                    "input_spikes": a.input_spikes,
                    "output_spikes": a.output_spikes,
                    "theta_mean": a.theta,
                    "synaptic_operations": a.input_spikes * n_neurons + a.output_spikes * (n_neurons - 1),
                }
                for a in answered
            ]
        )
    return lines
