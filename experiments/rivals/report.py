"""What experiments/benchmark.py makes of its measurements: lines of JSON, a table, a figure."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rivals.cases import ALONE, Case
from terminal import Table

Report = Mapping[str, Any]  # what a worker printed


def limit(report: Report) -> float | None:
    """Units per second if each counted event cost what it must (see the top of the file); None where none are."""
    if "synaptic_events" not in report:
        return None
    event = max(report["add_seconds"], 4 * report["byte_seconds"])
    return 1 / (report["synaptic_events"] * event + report["neuron_updates"] * report["update_seconds"])


def middle(values: Sequence[float | None]) -> tuple[float | None, list[float] | None]:
    """Median and [smallest, largest]; None where there is nothing."""
    known = [v for v in values if v is not None]
    return (median(known), [min(known), max(known)]) if known else (None, None)


COPIED = (
    "engine", "agree", "max_dw", "input_spikes", "output_spikes", "neurons_fired", "synaptic_events",
    "neuron_updates", "peak_gib", "temp_mib", "loss", "jsnn", "jax", "git_commit",
)  # fmt: skip
PEER_COPIED = "output_spikes", "threads", "stepper", "temp_mib", "loss"


def summary(case: Case, own: Sequence[Report], peer: Sequence[Report]) -> dict[str, Any]:
    """The line of --json: medians of the rounds of jsnn (`own`) and of the rival (`peer`, empty if it was left out)."""
    jsnn, jsnn_spread = middle([r["per_second"] for r in own])
    other, other_spread = middle([r["per_second"] for r in peer])
    _, ratio_spread = middle([a["per_second"] / b["per_second"] for a, b in zip(own, peer, strict=False)])
    bound, _ = middle([limit(r) for r in own])
    name = f"{peer[0]['times_cores']} x alone" if peer and case.rival == ALONE else case.rival
    return {
        "case": case.name,
        "shape": case.shape,
        "unit": case.unit,
        "kind": case.kind,
        "n_neurons": case.n,
        "n_steps": case.steps,
        "batch_size": case.batch,
        "n_trials": case.seeds * (36 if case.kind == "study" else 1),
        "learning": case.learning,
        "jsnn_per_second": jsnn,
        "jsnn_spread": jsnn_spread,
        "peer": name if peer else None,
        "peer_version": peer[0]["version"] if peer else None,
        "peer_per_second": other,
        "peer_spread": other_spread,
        "ratio": jsnn / other if jsnn and other else None,
        "ratio_spread": ratio_spread,
        "limit_per_second": bound,
        "limit_fraction": jsnn / bound if jsnn and bound else None,
        "device": device_name(own[0]["device"]),
        "rounds": len(own),
        **{key: own[0].get(key) for key in COPIED},
        **{f"{key}_seconds": middle([r.get(f"{key}_seconds") for r in own])[0] for key in ("add", "byte", "update")},
        **{f"peer_{k}": peer[0][k] for k in PEER_COPIED if peer and k in peer[0]},
        "memory_ratio": own[0]["temp_mib"] / peer[0]["temp_mib"] if peer and "temp_mib" in peer[0] else None,
        "note": case.note,
    }


def device_name(device: str) -> str:
    """The device that JAX reports, or what a CPU is called, and its cores."""
    if not device.startswith("cpu"):
        return device
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else device}, {os.cpu_count()} cores"


def short(value: float | None) -> str:
    """Three digits, or nothing."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


COLUMNS = ("case", "jsnn /s", "rival", "rival /s", "ratio", "of limit", "agree")


def row(record: Report) -> list[str]:
    """A line of the table: see COLUMNS."""
    low, high = record["jsnn_spread"]
    return [
        record["case"],
        f"{short(record['jsnn_per_second'])} ({short(low)}–{short(high)})",
        record["peer"] or "–",
        short(record["peer_per_second"]),
        short(record["ratio"]),
        short(record["limit_fraction"]),
        {True: "yes", False: "NO", None: "–"}[record["agree"]],
    ]


def table(records: Sequence[Report]) -> Any:
    """All cases: images a second (stdp-*: time steps of the batch), median and spread; `agree`: event and dense engine
    learned the same.
    """
    shown = Table(COLUMNS[:1], COLUMNS[1:], title=str(records[0]["device"]))
    for record in records:
        shown.add(*row(record))
    return shown


PANELS = {  # what varies, along which field; and which of the cases belong there
    "neurons": ("n_neurons", {"kind": "two_layer", "learning": True, "batch_size": 1, "n_steps": 250}),
    "time steps": ("n_steps", {"kind": "two_layer", "learning": True, "batch_size": 1, "n_neurons": 400}),
    "batch size": ("batch_size", {"kind": "two_layer", "learning": True, "n_steps": 250, "n_neurons": 100}),
    "trials in a grid": ("n_trials", {"kind": "grid"}),
}


def figure(records: Sequence[Report]) -> Any:
    """Milliseconds of a presentation over neurons, time steps, batch and grid, on log-log axes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from jsnn import plots

    with mpl.rc_context(plots.STYLE):
        drawn = Figure(figsize=(9, 6.5), layout="constrained")
        for axes, (title, (field, wanted)) in zip(drawn.subplots(2, 2).flat, PANELS.items(), strict=True):
            some = [r for r in records if all(r[k] == v for k, v in wanted.items())]
            some.sort(key=lambda r: r[field])
            lines = (("jsnn", "-o", plots.ACCENT), ("peer", "--s", plots.COLOURS[3]), ("limit", ":", plots.MUTED))
            for who, style, colour in lines:
                points = [(r[field], 1e3 / r[f"{who}_per_second"]) for r in some if r[f"{who}_per_second"]]
                names = {"peer": next((r["peer"] for r in some if r["peer"]), ""), "limit": "counted limit"}
                if points:
                    axes.loglog(*zip(*points, strict=True), style, color=colour, label=names.get(who, who))
            axes.set(xlabel=title, ylabel="ms a presentation")
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
            axes.grid(True, which="major")
            if some:
                axes.set_xticks([r[field] for r in some], [str(r[field]) for r in some], minor=False)
                axes.xaxis.minorticks_off()
                axes.legend()
        drawn.suptitle(f"Cost of learning, {records[0]['device']}")
    return drawn
