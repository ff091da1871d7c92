"""Figures hold what records and arrays say, at the edges too; each is drawn once and warnings are errors."""

import json
import subprocess
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from jsnn import plots
from jsnn.core.errors import InputError

pytestmark = pytest.mark.filterwarnings("error")

ENCODERS = ("poisson", "bernoulli", "rank_order")
NEURONS = ("if", "lif", "srm0", "adaptive_lif")
RULES = ("stdp", "weight_dependent_stdp", "hebbian")
CELLS = [(encoder, neuron, rule) for encoder in ENCODERS for neuron in NEURONS for rule in RULES]


def record(cell=("poisson", "lif", "stdp"), accuracy=0.5, seed=0, **other):
    """A record as it comes out of results.jsonl."""
    encoder, neuron, rule = cell
    curve = [[1000, accuracy / 2], [2000, accuracy]]
    settings = {
        "study": "test",
        "dataset": "mnist_excerpt",
        "n_neurons": 100,
        "batch_size": 1,
        "n_steps": 250,
    }
    settings |= {"n_train": 2000, "n_evaluated": 500, "split": "test"}
    settings |= {"readout": "all_activity", "overrides": {"trial.seed": seed}}
    cell = {"encoder": encoder, "neuron": neuron, "rule": rule, "seed": seed}
    return json.loads(json.dumps(settings | cell | {"accuracy": accuracy, "curve": curve} | other))


def matrix(accuracy=lambda i: i / 100):
    return [record(cell, accuracy(i)) for i, cell in enumerate(CELLS)]


def drawn(figure) -> Any:
    """The figure, laid out and drawn: a clipped legend or a collapsed layout is a warning here."""
    with mpl.rc_context(plots.STYLE):
        figure.draw_without_rendering()
    return figure


def panels(figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def written(axes) -> dict[Any, str]:
    """The texts in a heat map, by (row, column)."""
    at = {text.get_position(): text.get_text() for text in axes.texts}
    return {(int(y), int(x)): text for (x, y), text in at.items()}


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def caption(figure):
    return " ".join(figure.get_supxlabel().split())


def overlapping(texts):
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


# accuracy_matrix


def test_matrix_writes_every_accuracy_in_its_cell():
    figure = drawn(plots.accuracy_matrix(matrix()))
    assert [axes.get_title() for axes in panels(figure)] == ["Poisson", "Bernoulli", "rank order"]
    for encoder, axes in zip(ENCODERS, panels(figure), strict=True):
        cells = {(i, j): CELLS.index((encoder, n, r)) for i, n in enumerate(NEURONS) for j, r in enumerate(RULES)}
        assert written(axes) == {place: f"{i:.1f}" for place, i in cells.items()}
        colours = axes.collections[0].get_array()
        assert all(colours[place] == pytest.approx(i) for place, i in cells.items())
        assert labels(axes.yaxis) == (["IF", "LIF", "SRM0", "adaptive LIF"] if encoder == "poisson" else [])
        assert [" ".join(text.split()) for text in labels(axes.xaxis)] == [
            "STDP",
            "weight- dependent STDP",
            "Hebbian",
        ]
        assert axes.get_ylim() == (4, 0), "row 0 is on top"
        assert not axes.patches
        assert not overlapping([*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()])
    assert caption(figure) == "MNIST excerpt · 100 neurons · 2,000 training images"


def test_matrix_of_one_record():
    (axes,) = panels(drawn(plots.accuracy_matrix([record(accuracy=0.4321)])))
    assert written(axes) == {(0, 0): "43.2"}


def test_matrix_hatches_missing_cells():
    records = [record(cell) for cell in CELLS if cell != ("bernoulli", "lif", "hebbian")]
    figure = drawn(plots.accuracy_matrix(records))
    hatched = {axes.get_title(): [patch.get_xy() for patch in axes.patches] for axes in panels(figure)}
    assert hatched == {"Poisson": [], "Bernoulli": [pytest.approx((2.02, 1.02))], "rank order": []}
    assert (1, 2) not in written(panels(figure)[1])
    assert "hatched: no result" in caption(figure)


def test_matrix_over_seeds_is_mean_and_half_of_its_interval():
    accuracies = [0.70, 0.74, 0.78]
    records = [record(accuracy=a, seed=seed) for seed, a in enumerate(accuracies)] + [record(("poisson", "if", "stdp"))]
    figure = drawn(plots.accuracy_matrix(records))
    (axes,) = panels(figure)
    assert written(axes) == {(0, 0): "50.0", (1, 0): "74.0\n± 9.9"}  # 4.303 * 4.0 / sqrt(3)
    assert "3 seeds, ± half of the 95 % interval" in caption(figure)


def test_matrix_takes_the_last_run_of_a_seed():
    (axes,) = panels(plots.accuracy_matrix([record(accuracy=0.1), record(accuracy=0.2)]))
    assert written(axes) == {(0, 0): "20.0"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"n_neurons": 400}, "n_neurons 100 and 400"),
        ({"overrides": {"rule.nu": 0.1}}, "rule.nu None and 0.1"),
    ],
)
def test_records_of_different_settings_are_not_averaged(changed, told):
    for plot in (plots.accuracy_matrix, plots.learning_curves):
        with pytest.raises(InputError, match=f"poisson/lif/stdp.*{told}"):
            plot([record(seed=0), record(seed=1, **changed)])


def test_matrix_shows_the_ann_and_what_was_published():
    published = {cell: i / 50 for i, cell in enumerate(CELLS)} | {plots.ANN: 0.95}
    figure = drawn(plots.accuracy_matrix([*matrix(), record(plots.ANN, 0.918)], published))
    ours, theirs = panels(figure)[:3], panels(figure)[3:]
    assert [written(axes)[3, 2] for axes in ours] == ["11.0", "23.0", "35.0"]
    assert [written(axes)[3, 2] for axes in theirs] == ["22.0", "46.0", "70.0"]
    assert [axes.get_ylabel() for axes in panels(figure)] == ["jsnn", "", "", "as published", "", ""]
    assert "ANN: 91.8 % (jsnn), 95.0 % (as published)" in caption(figure)
    bar = figure.axes[-1]
    assert [tuple(line.get_ydata()) for line in bar.lines] == [pytest.approx((91.8, 91.8))]
    assert [text.get_text() for text in bar.texts] == ["ANN"]


def test_matrix_of_the_ann_alone():
    (axes,) = panels(drawn(plots.accuracy_matrix([record(plots.ANN, 0.9)])))
    assert written(axes) == {(0, 0): "90.0"}
    assert (axes.get_title(), labels(axes.yaxis), labels(axes.xaxis)) == (
        "no encoder",
        ["ReLU"],
        ["backprop"],
    )


def test_matrix_wraps_many_encoders_and_names_the_unknown():
    encoders = (*ENCODERS, "bindsnet_poisson", "time_to_spike")
    figure = drawn(plots.accuracy_matrix([record((encoder, "lif", "stdp")) for encoder in encoders]))
    titles = [axes.get_title() for axes in panels(figure)]
    assert titles == ["Poisson", "Bernoulli", "rank order", "Poisson (BindsNET)", "time to spike"]
    assert caption(figure) == "MNIST excerpt · 100 neurons · 2,000 training images"
    tops = [round(axes.get_position().y1, 2) for axes in panels(figure)]
    assert tops[0] == tops[1] == tops[2] > tops[3] == tops[4]


def test_a_row_of_panels_with_nothing_published_is_left_out():
    records = [record((encoder, "lif", "stdp")) for encoder in (*ENCODERS, "bindsnet_poisson")]
    figure = drawn(plots.accuracy_matrix(records, {("poisson", "lif", "stdp"): 0.1}))
    rows = [axes.get_ylabel() for axes in panels(figure) if axes.get_ylabel()]
    assert rows == ["jsnn", "as published", "jsnn"]
    assert panels(figure)[4].patches, "Bernoulli was not published"


def test_figures_say_which_images_the_accuracy_is_of():
    said = {"test": "Test accuracy", "validation": "Accuracy on held-out training images", None: "Accuracy"}
    for split, title in said.items():
        figure = plots.accuracy_matrix([record(split=split)])
        assert figure.get_suptitle() == title


def test_the_caption_says_only_what_all_records_share():
    records = [record(), record(("poisson", "if", "stdp"), n_neurons=400)]
    assert caption(plots.accuracy_matrix(records)) == "MNIST excerpt · 2,000 training images"


def test_every_colour_is_readable_and_darker_than_the_one_before():
    def luminance(colour):
        rgb = np.array(to_rgb(colour))
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [
            0.2126,
            0.7152,
            0.0722,
        ]

    records = [record(("poisson", f"neuron{i:03}", "stdp"), i / 100) for i in range(101)]
    (axes,) = panels(plots.accuracy_matrix(records))
    below = [luminance(plots.HEAT(i / 100)) for i in range(101)]
    assert np.all(np.diff(below) < 0)
    assert [text.get_text() for text in axes.texts] == [f"{i:.1f}" for i in range(101)]
    for text, back in zip(axes.texts, below, strict=True):
        dark, light = sorted((luminance(text.get_color()), back))
        assert (light + 0.05) / (dark + 0.05) > 3.8


# learning_curves


def lines(axes) -> dict[Any, Any]:
    return {line.get_label(): line for line in axes.lines}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_curves_are_the_records():
    figure = drawn(plots.learning_curves([*matrix(), record(plots.ANN, 0.9)]))
    for encoder, axes in zip(ENCODERS, panels(figure), strict=True):
        found = lines(axes)
        assert set(found) == {"chance", "ANN"} | {" ".join(cell) for cell in CELLS if cell[0] == encoder}
        for i, cell in enumerate(CELLS):
            if cell[0] == encoder:
                x, y = found[" ".join(cell)].get_data()
                assert list(x) == [1000, 2000]
                assert list(y) == pytest.approx([i / 2, i])
        assert list(found["chance"].get_ydata()) == [10, 10]
        colours = {n: {found[f"{encoder} {n} {r}"].get_color() for r in RULES} for n in NEURONS}
        assert all(len(same) == 1 for same in colours.values())
        assert len(set.union(*colours.values())) == 4
        styles = {r: {found[f"{encoder} {n} {r}"]._dash_pattern[1] is None for n in NEURONS} for r in RULES}
        assert styles == {"stdp": {True}, "weight_dependent_stdp": {False}, "hebbian": {False}}
    keys = [" ".join(text.split()) for text in legend(figure) if text and text not in ("neuron", "rule")]
    assert keys == [
        "IF",
        "LIF",
        "SRM0",
        "adaptive LIF",
        "STDP",
        "weight-dependent STDP",
        "Hebbian",
        "ANN",
        "chance (10 %)",
    ]


def test_rules_of_one_neuron_have_colours():
    (axes,) = panels(drawn(plots.learning_curves([record(("poisson", "lif", rule)) for rule in RULES])))
    assert len({line.get_color() for label, line in lines(axes).items() if label != "chance"}) == len(RULES)


def test_legend_lies_beside_the_panels():
    for records in (
        matrix(),
        [record()],
        matrix() + [record((f"bindsnet_{e}", n, r)) for e, n, r in CELLS[:24]],
    ):
        figure = drawn(plots.learning_curves(records))
        box = figure.legends[0].get_window_extent()
        assert figure.bbox.x1 >= box.x1
        assert figure.bbox.y0 <= box.y0
        assert not [axes for axes in figure.axes if axes.get_tightbbox().overlaps(box)]


def test_curves_of_several_seeds_are_a_mean_with_a_band():
    curves = [[[1000, 0.4], [2000, 0.6], [3000, 0.9]], [[1000, 0.2], [2000, 0.4]], [[1000, 0.3], [2000, 0.5]]]
    records = [record(seed=i, curve=c) for i, c in enumerate(curves)]
    (axes,) = panels(drawn(plots.learning_curves(records)))
    assert lines(axes)["poisson lif stdp"].get_xydata() == pytest.approx(np.array([[1000, 30], [2000, 50]]))
    (band,) = axes.collections
    half = 4.30265 * 100 * np.std([0.2, 0.3, 0.4], ddof=1) / np.sqrt(3)  # Student's t for three seeds
    assert band.get_datalim(axes.transData).intervaly == pytest.approx([30 - half, 50 + half], rel=1e-4)
    figure = drawn(plots.learning_curves(records[:2]))
    assert not panels(figure)[0].collections and "2 seeds and their mean" in caption(figure)


def test_the_ann_does_not_stretch_the_axis():
    ann = record(plots.ANN, curve=[[100_000, 0.5], [900_000, 0.9]])
    (axes,) = panels(drawn(plots.learning_curves([record(), ann])))
    assert axes.get_xlim()[1] < 3000 and list(lines(axes)["ANN"].get_ydata()) == [90, 90]


def test_panels_of_curves_wrap_and_the_outer_ones_are_labelled():
    encoders = (*ENCODERS, "bindsnet_poisson")
    figure = drawn(plots.learning_curves([record((encoder, "lif", "stdp")) for encoder in encoders]))
    assert [bool(axes.get_ylabel()) for axes in panels(figure)] == [True, False, False, True]
    assert [bool(axes.get_xlabel()) for axes in panels(figure)] == [False, True, True, True]


def test_a_curve_of_one_point_is_seen_and_no_curve_is_an_error():
    (axes,) = panels(
        drawn(plots.learning_curves([record(curve=[[500, 0.3]]), record(("poisson", "if", "stdp"), curve=[])]))
    )
    assert set(lines(axes)) == {"chance", "poisson lif stdp"}
    assert lines(axes)["poisson lif stdp"].get_marker() == "o"
    with pytest.raises(InputError, match="curve"):
        plots.learning_curves([record(curve=[])])


def test_no_records_is_an_error():
    for plot in (plots.accuracy_matrix, plots.learning_curves):
        with pytest.raises(InputError, match="no records"):
            plot([])


# sweep


def test_sweep_is_a_line_of_means_against_the_number_with_the_most_values():
    records = [
        record(accuracy=b / 1000 + 0.02 * s, seed=s, overrides={"run.batch_size": b, "network.reduction": r})
        for b in (1, 16, 256) for s in (0, 1, 2) for r in ("sum", "mean")
    ]  # fmt: skip
    figure = drawn(plots.sweep(records))
    (axes,) = panels(figure)
    assert axes.get_xlabel() == "run.batch_size" and axes.get_xscale() == "log"
    assert legend(figure) == ["reduction sum", "reduction mean"]
    line, _, (bars,) = axes.containers[0]
    np.testing.assert_allclose(line.get_xydata(), [[1, 2.1], [16, 3.6], [256, 27.6]])
    half = 4.30265 * 100 * np.std([0.0, 0.02, 0.04], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [0, 2.1 + half], rtol=1e-4)
    np.testing.assert_allclose(bars.get_segments()[2][:, 1], [27.6 - half, 27.6 + half], rtol=1e-4)


def test_two_seeds_of_a_sweep_are_dots():
    records = [
        record(accuracy=a, seed=s, overrides={"rule.eta": eta})
        for eta, found in ((1, (0.1, 0.9)), (2, (0.0, 1.0))) for s, a in enumerate(found)
    ]  # fmt: skip
    figure = drawn(plots.sweep(records))
    (axes,) = panels(figure)
    low, high = axes.get_ylim()
    assert 0 <= low and high <= 100 and "2 seeds and their mean" in caption(figure)
    np.testing.assert_allclose(axes.collections[-1].get_offsets(), [[1, 10], [1, 90], [2, 0], [2, 100]])


def test_a_line_of_a_sweep_has_no_number_that_its_cell_has_not():
    records = [record(cell, overrides=own | {"rule.eta": eta}) for eta in (1, 2, 3) for cell, own in (
        (("poisson", "if", "stdp"), {}),
        (("poisson", "srm0", "stdp"), {"neuron.tau_m": 7.0}),
        (("poisson", "lif", "stdp"), {"neuron.tau_m": 5.0}),
        (("poisson", "lif", "stdp"), {"neuron.tau_m": 9.0}),
    )]  # fmt: skip
    names = ["Poisson IF STDP", "Poisson SRM0 STDP", "Poisson LIF STDP, tau m 5.0", "Poisson LIF STDP, tau m 9.0"]
    assert legend(drawn(plots.sweep(records, "rule.eta"))) == names


def test_sweep_is_one_line_over_numbers_that_go_together():
    records = [
        record(accuracy=n / 1000, seed=s, overrides={"network.n_neurons": n, "network.scaling.target": 2 / n})
        for n in (25, 100, 400) for s in (0, 1)
    ]  # fmt: skip
    figure = drawn(plots.sweep(records, "network.n_neurons"))
    (axes,) = panels(figure)
    assert not figure.legends
    (line,) = (container[0] for container in axes.containers)
    np.testing.assert_allclose(line.get_xydata(), [[25, 2.5], [100, 10], [400, 40]])


def test_swept_curves_are_a_line_of_means_for_each_value():
    records = [
        record(curve=[[500, n / 1000 + 0.1 * s], [1500, 0.5]], seed=s, overrides={"network.n_neurons": n})
        for n in (400, 25) for s in (0, 1)
    ]  # fmt: skip
    figure = drawn(plots.swept_curves(records))
    (axes,) = panels(figure)
    assert legend(figure) == ["neurons 25", "neurons 400"]
    few, many = axes.get_lines()
    np.testing.assert_allclose(few.get_xydata(), [[500, 7.5], [1500, 50]])
    np.testing.assert_allclose(many.get_xydata(), [[500, 45], [1500, 50]])
    with pytest.raises(InputError, match="no record has a learning curve"):
        plots.swept_curves([{**r, "curve": []} for r in records])


@pytest.mark.parametrize("n", [9, 60])
def test_many_lines_are_named_beside_the_axes(n):
    figure = drawn(plots.swept_curves([record(overrides={"rule.eta_post": i / 1000}) for i in range(n)]))
    box = figure.legends[0].get_window_extent()
    assert not figure.axes[0].get_tightbbox().overlaps(box) and figure.bbox.contains(box.x1, box.y0)
    assert len(legend(figure)) == n


def test_tuning_is_own_numbers_beside_the_best_of_the_last_rung():
    own, better = {}, {"rule.eta_post": 0.1}
    lines = [(0, "if", own, 0.9), (0, "if", better, 0.1)]
    lines += [(1, "if", own, 0.5), (1, "if", better, 0.6), (1, "lif", own, 0.8), (1, "lif", better, 0.7)]
    records = [record(neuron=n, accuracy=a, overrides=o) | {"rung": r} for r, n, o, a in lines]
    (axes,) = panels(drawn(plots.tuning(records)))
    numbers, best = (points.get_offsets() for points in axes.collections[1:])
    np.testing.assert_allclose(numbers, [[50, 0], [80, 1]])
    np.testing.assert_allclose(best, [[60, 0], [80, 1]])
    with pytest.raises(InputError, match="no results"):
        plots.tuning([])


def test_sweep_of_nothing_is_an_error():
    with pytest.raises(InputError, match="only seeds"):
        plots.sweep([record(seed=0), record(seed=1)])
    words = [record(overrides={"network.tie_break": word}) for word in ("first", "none")]
    with pytest.raises(InputError, match="network.tie_break"):
        plots.sweep(words)


# receptive_fields


def fields(n, shape=(4, 6)):
    """Field i is constant, i + 1."""
    return np.broadcast_to(np.arange(1.0, n + 1), (shape[0] * shape[1], n))


def field(sheet, place, n_columns, shape=(4, 6)):
    y, x = (place // n_columns) * (shape[0] + 2), (place % n_columns) * (shape[1] + 2)
    return sheet[y : y + shape[0], x : x + shape[1]]


@pytest.mark.parametrize(("by_label", "order"), [(True, [3, 0, 4, 1, 2]), (False, [0, 1, 2, 3, 4])])
def test_fields_are_in_order_with_their_labels(by_label, order):
    assignments = np.array([1, 7, -1, 0, 1])
    figure = drawn(plots.receptive_fields(fields(5), assignments, (4, 6), by_label))
    axes, bar = figure.axes
    assert figure.get_suptitle() == "5 receptive fields, 1 silent"
    assert bar.get_ylabel() == "weight (mV)"
    assert [text.get_text() for text in axes.texts] == [str(k) if k >= 0 else "–" for k in assignments[order]]
    (image,) = axes.images
    sheet = image.get_array()
    assert sheet.shape == (2 * 6 - 2, 3 * 8 - 2, 3)
    for place, i in enumerate(order):
        colour = np.array(plots.HEAT((i + 1) / 5))[:3]
        expected = np.full(3, colour.mean()) if assignments[i] < 0 else colour
        np.testing.assert_allclose(field(sheet, place, 3), np.broadcast_to(expected, (4, 6, 3)), atol=0.02)
        x, y = axes.texts[place].get_position()
        assert (int(y) // 6, int(x) // 8) == divmod(place, 3)
    assert np.all(field(sheet, 5, 3) == 1), "no sixth field"


def test_a_field_is_an_image_the_right_way_up():
    weights = np.zeros((784, 1))
    weights[28 * 5 + 3] = 2.0  # row 5, column 3
    figure = drawn(plots.receptive_fields(weights, [4]))
    rows, columns = np.nonzero(
        np.ptp(figure.axes[0].images[0].get_array() - np.array(plots.HEAT(0.0))[:3], axis=-1) > 0.1
    )
    assert (list(rows), list(columns)) == ([5], [3])
    assert figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]
    assert figure.get_suptitle() == "1 receptive field, 0 silent"


def test_the_colour_bar_is_pointed_where_weights_go_beyond_it():
    even, one = np.full((784, 4), 0.5), np.zeros((784, 4))
    one[300, 2] = 9.0
    for weights, extend in ((even, "neither"), (even + one, "max")):
        bar: Any = plots.receptive_fields(weights, np.zeros(4, int)).axes[1]
        assert bar._colorbar.extend == extend
        assert bar.get_ylim() == pytest.approx((0, 0.5))


@pytest.mark.parametrize("weights", [np.zeros((784, 9)), np.full((784, 9), 0.3)])
def test_all_neurons_silent(weights):
    figure = drawn(plots.receptive_fields(weights, np.full(9, -1)))
    assert [text.get_text() for text in figure.axes[0].texts] == ["–"] * 9
    assert figure.get_suptitle() == "9 receptive fields, 9 silent"
    assert np.ptp(figure.axes[0].images[0].get_array(), axis=-1).max() == 0, "grey"


def test_of_many_fields_every_so_many_are_drawn_in_the_order_of_labels():
    labels = np.arange(40) % 10
    figure = drawn(plots.receptive_fields(np.ones((4, 40)), labels, (2, 2), most=10))
    assert figure.get_suptitle() == "40 receptive fields (10 of them here), 0 silent"
    (sheet,) = panels(figure)
    assert [text.get_text() for text in sheet.texts] == [str(n) for n in range(10)]


@pytest.mark.parametrize(("weights", "n"), [((784, 3), 4), ((100, 3), 3), ((784,), 1), ((784, 0), 0)])
def test_fields_of_the_wrong_shape(weights, n):
    with pytest.raises(InputError, match="expected"):
        plots.receptive_fields(np.zeros(weights), np.zeros(n, int))


# presentation


def a_presentation(n_steps=40, dt=0.5):
    rng = np.random.default_rng(0)
    inputs, outputs = rng.random((n_steps, 20)) < 0.1, rng.random((n_steps, 5)) < 0.1
    return inputs, outputs, rng.normal(-60, 2, n_steps), np.linspace(-52, -51, n_steps), 2, dt


def dots(collection):
    return {tuple(point) for point in collection.get_offsets().tolist()}


def test_presentation_shows_every_spike_at_its_time():
    inputs, outputs, v, threshold, neuron, dt = a_presentation()
    figure = drawn(plots.presentation(inputs, outputs, v, threshold, neuron, dt, 7))
    top, middle, bottom = figure.axes
    assert dots(top.collections[0]) == {(t * dt, i) for t, i in np.argwhere(inputs)}
    assert dots(middle.collections[0]) == {(t * dt, j) for t, j in np.argwhere(outputs)}
    assert dots(middle.collections[1]) == {(t * dt, neuron) for t in np.flatnonzero(outputs[:, neuron])}
    assert top.get_title("right") == f"input spikes: {inputs.sum()}"
    np.testing.assert_array_equal(lines(bottom)["membrane"].get_xydata(), np.stack([np.arange(40) * dt, v], 1))
    np.testing.assert_array_equal(lines(bottom)["threshold"].get_ydata(), threshold)
    assert lines(bottom)["threshold"].is_dashed()
    marks = [segment[0] for segment in bottom.collections[0].get_segments()]
    np.testing.assert_allclose(marks, [(t * dt, threshold[t]) for t in np.flatnonzero(outputs[:, neuron])])
    assert bottom.get_xlabel() == "time (ms)"
    assert top.get_xlim() == bottom.get_xlim() == (-0.25, 19.75)
    assert figure.get_suptitle() == "One presentation of “7”"
    assert not overlapping([bottom.title, bottom._left_title, *bottom.get_legend().get_texts()])


def test_presentation_without_spikes_and_with_one_threshold():
    figure = drawn(plots.presentation(np.zeros((30, 4)), np.zeros((30, 1)), np.full(30, -65.0), -52.0, 0))
    assert list(lines(figure.axes[2])["threshold"].get_ydata()) == [-52.0] * 30
    assert [axes.get_title("right") for axes in figure.axes[:2]] == ["input spikes: 0", "output spikes: 0"]
    assert figure.get_suptitle() == "One presentation"


def test_presentation_of_the_wrong_shape():
    inputs, outputs, v, threshold, *_ = a_presentation()
    with pytest.raises(InputError, match="expected"):
        plots.presentation(inputs, outputs, v[:-1], threshold, 0)
    for neuron in (-1, 5):
        with pytest.raises(InputError, match="expected 0 to 4"):
            plots.presentation(inputs, outputs, v, threshold, neuron)


# confusion_matrix


def test_confusion_writes_counts_and_colours_shares():
    counts = np.arange(110).reshape(10, 11)
    counts[4] = 0  # a class that was not in the test set
    figure = drawn(plots.confusion_matrix(counts.tolist(), 0.8766, "A title"))
    (axes,) = panels(figure)
    assert written(axes) == {(i, j): str(k) if k else "" for (i, j), k in np.ndenumerate(counts)}
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(axes.collections[0].get_array(), shares)
    assert labels(axes.xaxis) == [*"0123456789", "none"]
    assert labels(axes.yaxis) == [*"0123456789"]
    assert figure.get_suptitle() == "A title: 87.7 % correct"
    assert caption(figure) == f"{counts.sum():,} presentations"
    with pytest.raises(InputError, match=r"\(c, c \+ 1\)"):
        plots.confusion_matrix(np.zeros((10, 10)), 0.5)


# thresholds and voltages


def test_thresholds_are_counted_and_the_silent_apart():
    theta, labels = np.r_[np.full(30, 5.0), np.full(12, 9.0)], np.r_[np.zeros(30, int), np.full(12, -1)]
    figure = plots.thresholds(theta, -72.0, labels)
    axes = figure.axes[0]
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert [sum(h) for h in heights] == [30, 12]
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert set(told) == {"30 neurons", "12 silent", f"mean {theta.mean():.1f} mV"}
    all_fire = plots.thresholds(theta, -72.0, np.zeros(42, int)).axes[0].get_legend().get_texts()
    assert not any("silent" in text.get_text() for text in all_fire)
    with pytest.raises(InputError, match="the same neurons"):
        plots.thresholds(theta, -72.0, labels[:3])


def test_voltages_are_shown_one_step_apart():
    """One simulator records after a step, the other before it: what both have is all that is compared."""
    mine = np.cumsum(np.random.default_rng(0).normal(size=(40, 3)), axis=0)
    theirs = np.vstack([np.zeros((1, 3)), mine[:-1]])
    theirs[21, 1] += 1e-3
    figure = plots.voltages({"a_case": (mine, theirs)}, 0.5)
    left, right = figure.axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), mine[:-1, np.argmax(np.ptp(mine[:-1], axis=0))])
    apart = right.lines[0].get_ydata()
    assert np.argmax(apart) == 20 and apart.max() == pytest.approx(1e-3) and np.delete(apart, 20).max() < 1e-12
    assert left.get_title(loc="left").startswith("a case, neuron")
    with pytest.raises(InputError, match="two membranes"):
        plots.voltages({"a": (mine, theirs[:5])}, 0.5)


# all


def test_save_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "figures" / "one.png"
    figure = plots.confusion_matrix(np.eye(2, 3), 1.0)
    assert plots.save(figure, str(path)) == path
    height, width = imread(path).shape[:2]
    assert (width, height) == pytest.approx(figure.get_size_inches() * 150, abs=1)
    before = path.read_bytes()

    def fill_the_disk(file, **_):
        file.write(b"half a pict")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_nothing_global_changes():
    before = dict(mpl.rcParams)
    plots.learning_curves([record()])
    assert dict(mpl.rcParams) == before
    code = "import sys, jsnn.plots; print('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("n", [5, 40, 100])
def test_no_two_lines_look_the_same(n):
    def looks(axes):
        return [(x.get_color(), x._dash_pattern[0], str(x._dash_pattern[1]), x.get_marker()) for x in axes.lines]

    many = [record(overrides={"rule.eta": i}) for i in range(n)]
    other = [record(("poisson", f"mine_{i}", "stdp")) for i in range(n)]
    rules = [record(("poisson", "lif", f"mine_{i}")) for i in range(n)]
    known = [record(("poisson", neuron, rule)) for neuron in (*NEURONS, "euler_lif", "mine") for rule in RULES]
    line = {"encoder": "direct", "neuron": "unit_lif", "rule": "bptt", "architecture": "8-10", "overrides": {}}
    gradients = [line | {"neuron": f"m{i}", "curve": [[1, 0.5]], "accuracy_after": [0.5]} for i in range(n)]
    for figure in (
        plots.swept_curves(many),
        plots.learning_curves([*other, record(plots.ANN)]),
        plots.learning_curves(rules),
        plots.learning_curves(known),
        plots.progress(gradients),
        plots.pareto({f"m{i}": [(1.0, 0.9)] for i in range(n)}, {}),
    ):
        found = looks(figure.axes[0])
        assert len(set(found)) == len(found)


def test_a_known_neuron_has_its_colour_beside_any_other():
    def colour(records):
        return lines(plots.learning_curves(records).axes[0])["poisson srm0 stdp"].get_color()

    alone = colour([record(("poisson", "srm0", "stdp"))])
    assert colour([record(("poisson", neuron, "stdp")) for neuron in ("mine", "srm0", "if", "another")]) == alone


USERS = {"image.origin": "lower", "text.usetex": True, "savefig.dpi": 20, "axes.xmargin": 0.4, "lines.linestyle": ":"}


def test_a_matplotlibrc_changes_no_figure(tmp_path):
    def written_by(how):
        for name, draw in {
            "fields": lambda: plots.receptive_fields(fields(6), np.arange(6), (4, 6)),
            "matrix": lambda: plots.accuracy_matrix(matrix()),
            "curves": lambda: plots.learning_curves(matrix()),
            "membranes": lambda: plots.voltages({"a": (np.zeros((9, 2)), np.ones((9, 2)))}, 0.5),
        }.items():
            yield plots.save(draw(), tmp_path / f"{name}{how}.png").read_bytes()

    own = list(written_by("own"))
    with mpl.rc_context(USERS):
        assert list(written_by("users")) == own


@pytest.mark.parametrize("name", ["$x$", "$\\frac{", "\x1b[31m\n", 300 * "x", "中文"])
def test_any_name_is_only_text(name, tmp_path):
    records = [record(("poisson", name, "stdp"), study=name, dataset=name), record(("poisson", name, name))]
    figure = plots.learning_curves(records)
    plots.save(figure, tmp_path / "curves.png")
    shown = " ".join(" ".join(legend(figure)).split())
    assert "\x1b" not in shown and len(shown) < 250
    assert name.replace("_", " ") in shown or not name.isprintable() or len(name) > 40
    plots.save(plots.accuracy_matrix(records), tmp_path / "matrix.png")
    plots.save(plots.confusion_matrix(np.eye(2, 3), 1.0, name), tmp_path / "confusion.png")
    swept = [record(overrides={"neuron.x": i, f"rule.{name}": f"{name}{i % 2}"}) for i in range(4)]
    plots.save(plots.sweep(swept), tmp_path / "sweep.png")


@pytest.mark.parametrize("name", ["x.xyz", "x.pgf", "x.raw", "x.PNG.gz"])
def test_a_file_that_no_figure_can_be_written_to(name, tmp_path):
    with pytest.raises(InputError, match=r"should end in \.png"):
        plots.save(plots.confusion_matrix(np.eye(2, 3), 1.0), tmp_path / "figures" / name)
    assert not list(tmp_path.iterdir())


def test_the_suffix_is_the_format(tmp_path):
    for name, begin in {"x": b"\x89PNG", "x.PNG": b"\x89PNG", "x.svg": b"<?xml", "x.pdf": b"%PDF"}.items():
        assert plots.save(plots.confusion_matrix(np.eye(2, 3), 1.0), tmp_path / name).read_bytes().startswith(begin)


def test_what_an_answer_costs():
    """The front is a staircase down to the best: it skips what is dearer and worse."""
    figure = plots.pareto({"a": [(1.0, 0.9), (2.0, 0.99)]}, {"b": [(0.5, 0.8), (3.0, 0.95)]})
    front, a, b = figure.axes[0].lines
    np.testing.assert_allclose(front.get_xdata(), [0.5, 1, 1, 2, 2])
    np.testing.assert_allclose(front.get_ydata(), [20, 20, 10, 10, 1])
    assert a.get_linewidth() > 0 and b.get_linewidth() == 0 and b.get_label() == "b"
    with pytest.raises(InputError, match="no models to compare"):
        plots.pareto({}, {})


def test_errors_while_a_network_is_trained():
    line = {"encoder": "direct", "neuron": "unit_lif", "rule": "bptt", "architecture": "8-10", "overrides": {}}
    lines = [line | {"curve": [[10, a], [20, 0.9]], "accuracy_after": [a, 0.98]} for a in (0.5, 0.7)]
    training, steps = plots.progress(lines).axes
    np.testing.assert_allclose(training.lines[0].get_ydata(), [40, 10])
    np.testing.assert_allclose(steps.lines[0].get_ydata(), [40, 2])
    assert training.lines[0].get_label() == "direct x LIF x BPTT" and steps.get_yscale() == "log"
    close = [line | {"curve": [[10, 0.9]], "accuracy_after": [0.98, 0.99]}]
    assert plots.progress(close).axes[1].get_yscale() == "linear"
    with pytest.raises(InputError, match="no record of a network trained by gradients"):
        plots.progress([{"encoder": "poisson"}])
