"""Rewrite the tables of the documents from the committed results, so that no number in them is typed by hand.

  python experiments/readme.py           (rewrite)
  python experiments/readme.py --check   (exit code 2 if a document and the results disagree)

A table stands between <!-- table NAME --> and <!-- end -->; NAME is a function below and a run in checkpoints/.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # where PYTHONSAFEPATH leaves it out

import numpy as np
from console import command
from diagnose import OF_RESULTS
from rivals.cases import BY_GRADIENTS
from rivals.report import row
from terminal import Parser

from jsnn import plots, runs
from jsnn.analysis import statistics
from jsnn.core.errors import InputError
from jsnn.learners import cost
from jsnn.runs import config, results

ROOT = Path(__file__).parent.parent
Records = Sequence[dict[str, Any]]
Cell = tuple[str, str, str]  # encoder, neuron, rule
DOCUMENTS = ("README.md", "experiments/RESULTS.md", "experiments/rivals/README.md")
NO_TRIALS = ("brian2", "benchmark", "prototypes")  # whose lines are of other things


def lines_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a committed run: of all trials of its config.json; where there is none, each once."""
    path = run / "results.jsonl"
    if (run / "config.json").exists():
        return runs.read_lines(run)
    lines = results.read(path) if run.name in NO_TRIALS else results.trials(path)
    if repeated := [number for number, line in enumerate(lines) if line in lines[:number]]:
        raise results.damaged(f"{path}:{repeated[0] + 1}: this line is there twice", path)
    return lines


def rows(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *body))


def points(values: Sequence[float], digits: int = 1) -> str:
    """Percent: 82.9, or 82.9 ± 0.4 (half of the 95 % interval of the mean) for several seeds."""
    if len(values) == 1:
        return f"{100 * values[0]:.{digits}f}"
    found = statistics.interval(values)
    return f"{100 * found.mean:.{digits}f} ± {100 * found.half:.{digits}f}"


def name(word: str) -> str:
    """A registry name as people write it, also where it begins a study's own."""
    known = max((k for k in plots.LABELS if f"{word}_".startswith(f"{k}_")), key=len, default="")
    return " ".join([plots.LABELS.get(known, ""), *word[len(known) :].split("_")]).strip().replace("  ", " ")


def by_rule(cells: Mapping[Cell, Any], text: Callable[[Cell], str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of the cells: encoders and neurons down, rules across."""
    spiking = [cell for cell in cells if cell[0] != "none"]
    rules = list(dict.fromkeys(rule for _, _, rule in spiking))
    body = [
        [name(encoder), name(neuron), *(text((encoder, neuron, rule)) for rule in rules)]
        for encoder, neuron in dict.fromkeys((e, n) for e, n, _ in spiking)
    ]
    return ["encoder", "neuron", *map(name, rules)], body


def matrix(run: Path, records: Records) -> str:
    """The cells of a run, published accuracy in brackets where there is one."""
    published = runs.config_of(run).published
    cells = results.by_cell(records)

    def text(cell: Cell) -> str:
        accuracy = points([r["accuracy"] for r in cells[cell]])
        return f"{accuracy} ({100 * published[cell]:.0f})" if cell in published else accuracy

    header, body = by_rule(cells, text)
    body += [
        ["ANN 784-100-10", "ReLU", f"{text(cell)} backprop", *[""] * (len(header) - 3)]
        for cell in cells
        if cell[0] == "none"
    ]
    return rows(header, body)


def before_after(run: Path, records: Records) -> str:
    """The cells of a run beside what the study of 2020 published of them."""
    del run
    published = runs.config_of(ROOT / "checkpoints" / "seed_study").published
    cells = results.by_cell(records)
    return rows(*by_rule(cells, lambda c: f"{100 * published[c]:.0f} → {points([r['accuracy'] for r in cells[c]])}"))


def readouts(run: Path, records: Records) -> str:
    """Each cell with the accuracy of every read-out."""
    body = []
    for (encoder, neuron, rule), trials in results.by_cell(records).items():
        kinds = list(trials[0]["readouts"])
        spikes = np.mean([r["output_spikes"] for r in trials])
        body.append(
            [f"{name(encoder)} x {name(neuron)} x {name(rule)}", str(len(trials))]
            + [points([r["readouts"][kind] for r in trials]) for kind in kinds]
            + [f"{spikes:.1f}"]
        )
    return rows(["cell", "seeds", *(kind.replace("_", " ") for kind in kinds), "output spikes an image"], body)


def tensor(records: Records) -> tuple[np.ndarray, list[list[str]]]:
    """Accuracies of a whole matrix [encoder, neuron, rule, seed], and the levels of the three factors."""
    cells = results.by_cell([r for r in records if r["encoder"] != "none"])
    levels = [list(dict.fromkeys(cell[axis] for cell in cells)) for axis in range(3)]
    table = [[[[t["accuracy"] for t in cells[e, n, r]] for r in levels[2]] for n in levels[1]] for e in levels[0]]
    return np.array(table), levels


def probability(p: float) -> str:
    """As people write it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def effects(run: Path, records: Records) -> str:
    """Analysis of variance of a matrix."""
    del run
    found = statistics.effects(tensor(records)[0], config.AXES)
    body = [[" x ".join(e.factors), f"{100 * e.share:.1f}", f"{e.f:,.1f}", probability(e.p)] for e in found]
    return rows(["effect", "share of the variance, %", "F", "p"], body)


def contrasts(run: Path, records: Records) -> str:
    """Pairs of levels, all else equal."""
    del run
    table, levels = tensor(records)
    body = []
    for c in statistics.contrasts(table, config.AXES, levels):
        points = [f"{100 * x:+.1f}" for x in (c.difference.mean, c.difference.low, c.difference.high)]
        body.append([f"{name(c.a)} – {name(c.b)}", points[0], f"{points[1]} … {points[2]}", probability(c.p)])
    return rows(["difference", "points", "95 % interval", "p, corrected"], body)


def extremes(run: Path, records: Records) -> str:
    """Of each read-out: the cell of the lowest mean accuracy, and that of the highest."""
    del run
    cells = results.by_cell(records)
    body = []
    for kind in records[0]["readouts"]:
        accuracy = {cell: [r["readouts"][kind] for r in trials] for cell, trials in cells.items()}
        ranked = sorted(accuracy, key=lambda cell: float(np.mean(accuracy[cell])))
        told = [f"{points(accuracy[cell])} ({' x '.join(map(name, cell))})" for cell in (ranked[0], ranked[-1])]
        body.append([kind.replace("_", " "), *told])
    return rows(["read-out", "worst cell", "best cell"], body)


def swept(down: str, across: str | None = None) -> Callable[[Path, Records], str]:
    """A table of one cell's accuracies over one number of a sweep, or two of them."""

    def table(run: Path, records: Records) -> str:
        del run
        at: dict[tuple[Any, Any], list[float]] = {}
        for r in records:
            place = r["overrides"][down], r["overrides"].get(across)
            at.setdefault(place, []).append(r["accuracy"])
        columns = list(dict.fromkeys(column for _, column in at))
        body = [
            [f"{row:g}", *(points(at[row, column]) if (row, column) in at else "" for column in columns)]
            for row in dict.fromkeys(row for row, _ in at)
        ]
        header = [f"{plots.word(across)} {column}" if across else "accuracy" for column in columns]
        return rows([plots.word(down), *header], body)

    return table


def lost(run: Path, records: Records) -> str:
    """Points that batches lose against one image at a time, paired by seed: reductions across."""
    del run
    table: dict[tuple[int, str], dict[int, float]] = {}
    for r in records:
        place = r["overrides"]["run.batch_size"], r["overrides"]["network.reduction"]
        table.setdefault(place, {})[r["seed"]] = r["accuracy"]
    online = table.pop((1, "sum"))
    reductions = list(dict.fromkeys(reduction for _, reduction in table))
    body = [
        [str(b), *(points([online[s] - a for s, a in table[b, reduction].items()]) for reduction in reductions)]
        for b in dict.fromkeys(b for b, _ in table)
    ]
    return rows(["batch size", *(reduction.replace("_", " ") for reduction in reductions)], body)


def sizes(run: Path, records: Records) -> str:
    """Read-outs of each size of a layer, beside k-means with as many prototypes."""
    del run
    reference = lines_of(ROOT / "checkpoints" / "prototypes")
    kinds = [kind for kind in records[0]["readouts"] if kind != "accumulated"]
    body = []
    for n in dict.fromkeys(r["n_neurons"] for r in records):
        trials = [r for r in records if r["n_neurons"] == n]
        prototypes = [r["accuracy"] for r in reference if r["n_neurons"] == n]
        spikes = np.mean([r["output_spikes"] for r in trials])
        accuracies = [points([r["readouts"][kind] for r in trials]) for kind in kinds]
        body.append([str(n), *accuracies, points(prototypes), f"{spikes:.1f}"])
    header = ["neurons", *(kind.replace("_", " ") for kind in kinds), "k-means", "output spikes an image"]
    return rows(header, body)


MEANS = (("output_spikes", ".1f"), ("theta_mean", ".3g"))
BY_RULE = ("all_activity", "proportion_weighting", "naive_bayes", "linear")
LARGEST = ("diehl_cook_largest", "largest_simplified")
PAPER = {100: (82.9, 40_000), 400: (87.0, 180_000), 1600: (91.9, 420_000), 6400: (95.0, 900_000)}


def against_paper(run: Path, records: Records) -> str:
    """Diehl & Cook's network at each size, beside what they published, and k-means with as many prototypes; the largest
    are runs of their own.
    """
    reference = lines_of(run.parent / "prototypes")
    body = []
    for lines in (records, *(lines_of(run.parent / other) for other in LARGEST)):
        for n in dict.fromkeys(r["n_neurons"] for r in lines):
            trials = [r for r in lines if r["n_neurons"] == n]
            prototypes = [r["accuracy"] for r in reference if r["n_neurons"] == n]
            network = "conductances" if trials[0]["neuron"] == "euler_lif" else "simplified"
            body.append(
                [network, str(n), *(f"{number:,}" for number in PAPER[n])]
                + [points([r["accuracy"] for r in trials]), f"{trials[0]['n_presentations']:,}", str(len(trials))]
                + [points([r["readouts"]["naive_bayes"] for r in trials]), points(prototypes) if prototypes else "–"]
                + [f"{np.mean([r[what] for r in trials]):{form}}" for what, form in MEANS]
            )
    header = ["network", "neurons", "paper, %", "paper's presentations", "here, %", "presentations here", "seeds"]
    return rows(
        [*header, "naive bayes, %", "k-means (60,000 images), %", "output spikes an image", "mean theta, mV"], body
    )


def by_their_rules(run: Path, records: Records) -> str:
    """Diehl & Cook's four rules at two sizes of their network, a run each."""
    body = []
    for lines in (records, lines_of(run.parent / f"{run.name}_400")):
        for (_, _, rule), trials in results.by_cell(lines).items():
            one = trials[0]
            body.append(
                [str(one["n_neurons"]), name(rule), f"{one['n_presentations']:,}", str(len(trials))]
                + [points([r["readouts"][kind] for r in trials]) for kind in BY_RULE]
                + [f"{np.mean([r[what] for r in trials]):{form}}" for what, form in MEANS]
            )
    header = ["neurons", "rule", "presentations", "seeds", *(f"{kind.replace('_', ' ')}, %" for kind in BY_RULE)]
    return rows([*header, "output spikes an image", "mean theta, mV"], body)


# Runs of networks that were trained by gradients.
GRADIENTS = tuple(
    f"gradient_{run}"
    for run in (
        "ann",
        "conversion",
        "fully_connected",
        "convolutional_ann",
        "convolutional_conversion",
        "convolutional",
        "inputs",
        "eprop",
        "nmnist",
        "nmnist_convolutional",
        "nmnist_frames",
        "saccades",
    )
)
SPLITS = {"test": "test", "validation": "held out"}
TESTED = ("test_eprop",)  # with the same numbers, trained on all training images and shown the test images


def by_gradients(run: Path, records: Records) -> str:
    """Accuracy and price of the networks that were trained by gradients, a line a cell, means over the seeds."""
    del records
    body = []
    for each in (*GRADIENTS, *TESTED):
        lines = lines_of(run.parent / each)
        for cell, trials in results.by_cell(lines).items():
            one = trials[0]
            answers, learning = ([cost.Price(**r[key]) for r in trials] for key in ("price", "price_of_learning"))
            joules = (
                [p.energy() for p in answers],
                [p.energy_of_neurons() for p in answers],
                [p.energy() for p in learning],
            )
            body.append(
                [f"{one['dataset'].upper()}, {SPLITS[one['split']]}", one["architecture"]]
                + [" x ".join(map(name, cell))]
                + [str(len(one["accuracy_after"])), str(len(trials)), points([r["accuracy"] for r in trials], 2)]
                + [f"{np.mean([r['output_spikes'] for r in trials]):,.0f}"]
                + [f"{np.mean(n) / 1e3:,.1f}" for n in ([p.macs for p in answers], [p.accumulates for p in answers])]
                + [f"{np.mean(energy) / 1e6:.3f}" for energy in joules]
            )
    header = ["data", "layers", "encoder x neuron x rule", "steps", "seeds", "accuracy, %", "spikes", "MACs, k"]
    return rows([*header, "additions, k", "synapses, µJ", "neurons, µJ", "learning, µJ"], body)


def simulators(run: Path, records: Records) -> str:
    """The same network by jsnn and by Brian2."""
    del run
    body = [
        [r["case"].replace("_", " "), str(r["spikes"]), str(r["spikes_brian2"]), str(r["spikes_in_the_same_step"])]
        + [f"{r['images_spike_for_spike']} of {r['images']}", f"{r['largest_difference_mV']:.2g}"]
        + [f"{r['largest_difference_weights']:.2g}"]
        for r in records
    ]
    header = ["case", "spikes, jsnn", "Brian2", "in the same step", "images spike for spike", "v apart, mV, at most"]
    return rows([*header, "weights apart, at most"], body)


def tuned(run: Path, records: Records) -> str:
    """What tuning gives, on held-out images: the config's own numbers, the best candidates, mean over rules."""
    del run
    cells = results.tuned(records)
    encoders = list(dict.fromkeys(encoder for encoder, _, _ in cells))
    body = []
    for neuron in dict.fromkeys(neuron for _, neuron, _ in cells):
        row = [name(neuron)]
        for encoder in encoders:
            mine = [lines for cell, lines in cells.items() if cell[:2] == (encoder, neuron)]
            before, after = (100 * np.mean([r["accuracy"] for r in lines]) for lines in zip(*mine, strict=True))
            row.append(f"{before:.1f} → {after:.1f}")
        body.append(row)
    return rows(["neuron", *map(name, encoders)], body)


def diagnosed(run: Path, records: Records) -> str:
    """Why each cell of the first rule learned or not (`experiments/diagnose.py`)."""
    lines = results.read(run / "diagnosis.jsonl")
    trials, diagnosed = (
        [[r[key] for key in OF_RESULTS] for r in rs if r["encoder"] != "none"] for rs in (records, lines)
    )
    if trials != diagnosed:
        raise InputError(
            f"{run / 'diagnosis.jsonl'} is not of the trials of results.jsonl: run experiments/diagnose.py"
        )
    lines = [r for r in lines if r["rule"] == "stdp"]
    body = [
        [name(r["encoder"]), name(r["neuron"])]
        + [f"{100 * r['accuracy']:.1f}", f"{r['drive']:,.0f}", f"{r['output_spikes']:,.1f}"]
        + [f"{100 * r['silent']:.0f}", f"{100 * r['dead']:.0f}", f"{r['similarity']:.2f}", f"{100 * r['together']:.0f}"]
        for r in lines
    ]
    header = ["encoder", "neuron", "accuracy, %", "drive, mV", "output spikes", "silent images, %"]
    return rows([*header, "dead neurons, %", "likeness", "several at once, %"], body)


def by_encoder(run: Path, records: Records) -> str:
    """Neurons down, encoders across; of a run with one rule."""
    del run
    cells = results.by_cell(records)
    encoders = list(dict.fromkeys(encoder for encoder, _, _ in cells))
    accuracy = {(e, n): points([r["accuracy"] for r in trials]) for (e, n, _), trials in cells.items()}
    neurons = list(dict.fromkeys(neuron for _, neuron, _ in cells))
    body = [[name(neuron), *(accuracy[encoder, neuron] for encoder in encoders)] for neuron in neurons]
    return rows(["neuron", *map(name, encoders)], body)


def peer_of(record: dict[str, Any]) -> str:
    """The other side of a case."""
    if record["peer"] is None:
        return "–"
    itself = record["kind"] in ("grid", "study", "memory")
    return record["peer"] if itself else f"{record['peer']} {record['peer_version']}"


def speeds(run: Path, records: Records) -> str:
    """The cases of a benchmark: rates, rival, ratio, fraction of the counted limit."""
    del run
    body = [
        [r["case"], r["shape"], *row(r)[1:2], peer_of(r), *row(r)[3:]] for r in records if r["kind"] not in BY_GRADIENTS
    ]
    return rows(["case", "shape", "jsnn /s", "rival", "rival /s", "ratio", "of limit", "same as dense"], body)


def speeds_by_gradients(run: Path, records: Records) -> str:
    """The cases that learn by gradients: rates, rival, ratios of speed and memory."""
    del run
    body = [
        [r["case"], r["shape"], *row(r)[1:2], peer_of(r), *row(r)[3:5]]
        + ["–" if r["memory_ratio"] is None else f"{r['memory_ratio']:.3f}"]
        for r in records
        if r["kind"] in BY_GRADIENTS
    ]
    return rows(["case", "shape", "jsnn /s", "rival", "rival /s", "ratio", "memory, ratio"], body)


FRONT = ("online-n100", "online-n400", "online-n6400", "conductance-n400", "layers-h400")  # cases of the front page


def speed(run: Path, records: Records) -> str:
    """The cases of the front page: rates, rival, ratio."""
    del run
    found = {r["case"]: r for r in records}
    body = [[found[c]["shape"], *row(found[c])[1:2], peer_of(found[c]), *row(found[c])[3:5]] for c in FRONT]
    return rows(["network", "jsnn, images /s", "rival", "images /s", "ratio"], body)


def summary(run: Path, records: Records) -> str:
    """What the front page says: claims, each with the number of a committed run and the config that made it."""

    def of(which: str, **is_: Any) -> list[float]:
        lines = [r for r in lines_of(run.parent / which) if all(r[key] == value for key, value in is_.items())]
        return [r["accuracy"] for r in lines]

    cells = [[r["accuracy"] for r in lines] for lines in results.by_cell(records).values()]
    worst, best = min(cells, key=np.mean), max(cells, key=np.mean)
    hebbian = of("seed_study", encoder="poisson", neuron="adaptive_lif", rule="hebbian")
    adaptive = of("neurons", n_neurons=100)
    body = [
        ["the best condition of Shears & Yazdani (2020), reproduced; they published 80", points(hebbian), "seed_study"],
        ["all 36 conditions learn at equal drive and rates: the worst", points(worst), "every_cell"],
        ["... and the best; encoders differ by five points, neurons and rules by one", points(best), "every_cell"],
        ["STDP with 100 neurons, labels only to name the neurons", points(adaptive), "wish_list/neurons"],
        ["... with 6,400; Diehl & Cook (2015) published 95.0", points(of("largest_simplified")), "wish_list/largest"],
        ["trained by e-prop, 784-128-10", points(of("test_eprop"), 2), "gradient/eprop"],
        [
            "trained by backpropagation, convolutional, 2 steps; of held-out training images, on which it was chosen",
            points(of("gradient_convolutional"), 2),
            "gradient/convolutional",
        ],
        ["N-MNIST, 1,000 recordings, 100 test recordings", points(of("gradient_nmnist")), "gradient/nmnist"],
    ]
    body = [[claim, number, f"[configs/{config}.toml](configs/{config}.toml)"] for claim, number, config in body]
    return rows(["test images of MNIST, if nothing else is said", "%", "config"], body)


RUN = re.compile(r"checkpoints/(\w+)/results\.jsonl")  # in the header of a config: the run that it made


def origins(run: Path, records: Records) -> str:
    """Of each committed run: which images its numbers were chosen on, and which it was measured on."""
    del records
    body = []
    for path in sorted((ROOT / "configs").rglob("*.toml")):
        header = {
            key: text.strip()
            for key, colon, text in (line.removeprefix("# ").partition(":") for line in path.read_text().splitlines())
            if colon and key in ("Chosen on", "Expected", "Test images")
        }
        for which in RUN.findall(f"{header['Expected']} {header.get('Test images', '')}"):
            lines = lines_of(run.parent / which)
            if not lines:  # of a run that is not committed
                continue
            on = {"test": "test images", "validation": "held-out training images"}[lines[0]["split"]]
            seeds = len({r["seed"] for r in lines})
            chosen = header["Chosen on"].rstrip(".")
            body.append([str(path.relative_to(ROOT)), which, f"{lines[0]['n_evaluated']:,} {on}", str(seeds), chosen])
    return rows(["config", "run in checkpoints/", "measured on", "seeds", "numbers chosen on"], body)


TABLES: dict[str, tuple[str, Callable[[Path, Records], str]]] = {
    "seed_study": ("seed_study", matrix),
    "seed_study_collapse": ("seed_study_collapse", matrix),
    "headline": ("headline", readouts),
    "every_cell": ("every_cell", before_after),
    "every_cell_effects": ("every_cell", effects),
    "every_cell_contrasts": ("every_cell", contrasts),
    "every_cell_readouts": ("every_cell", extremes),
    "diagnosis": ("published_settings", diagnosed),
    "factorial": ("factorial", by_encoder),
    "neurons": ("neurons", sizes),
    "batch_size": ("batch_size", lost),
    "learning_rate": ("learning_rate", swept("rule.eta_post", "run.batch_size")),
    "time_steps": ("time_steps", swept("run.n_steps")),
    "epochs": ("epochs", readouts),
    "tuning": ("tuning", tuned),
    "fashion": ("fashion", readouts),
    "diehl_cook": ("diehl_cook_sizes", against_paper),
    "diehl_cook_rules": ("diehl_cook_published", by_their_rules),
    "brian2": ("brian2", simulators),
    "gradients": ("gradient_fully_connected", by_gradients),
    "matrix": ("excerpt", matrix),
    "origins": ("headline", origins),
    "summary": ("every_cell", summary),
    "speed": ("benchmark", speed),
    "benchmark": ("benchmark", speeds),
    "benchmark_gradients": ("benchmark", speeds_by_gradients),
}


def rewritten(text: str, document: str) -> str:
    """The text of a document with its tables made anew."""

    def table(match: re.Match[str]) -> str:
        if match[1] not in TABLES:
            raise config.unknown("table", match[1], TABLES, document)
        run, make = TABLES[match[1]]
        records = lines_of(ROOT / "checkpoints" / run)
        if not records:
            raise InputError(f"{document}: no results in checkpoints/{run}; run the study first")
        return f"<!-- table {match[1]} -->\n{make(ROOT / 'checkpoints' / run, records)}\n<!-- end -->"

    return re.sub(r"<!-- table (\w+) -->.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Rewrite or check."""
    parser = Parser(__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something would change")
    arguments = parser.parse_args()
    for document in DOCUMENTS:
        path = ROOT / document
        text = path.read_text()
        new = rewritten(text, document)
        if arguments.check and new != text:
            raise InputError(f"{document} and checkpoints/*/results.jsonl disagree: run experiments/readme.py")
        if new != text:
            path.write_text(new)


if __name__ == "__main__":
    command(main)
