"""Whether what networks learned are numbers. Plasticity can run away, and a network that has holds no numbers any more:
nothing in it is above its threshold, which looks like silence.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core.errors import InputError
from jsnn.grid.groups import Cell, Trial, take
from jsnn.grid.layout import Layout, fetch
from jsnn.networks.competitive import CompetitiveNetwork, Learned

# What is looked at, and the numbers that are likely to blame: paths of a trial, of which each has some.
WHAT = {
    "weights": ("rule.eta_pre", "rule.eta_post", "rule.w_max", "norm"),
    "thresholds": ("neuron.adaptation.theta_plus", "neuron.adaptation.tau_theta"),
    "scales": ("scaling.eta", "scaling.target"),
    "drives": ("gain", "scaling.eta", "scaling.target", "answer.gain"),
}


def finite(network: CompetitiveNetwork, learned: Learned) -> Array:
    """Whether each of `WHAT` is finite: bool[4]. The drive of a neuron is what it were if all its inputs fired."""
    length = jnp.sum(jnp.abs(learned.weights), axis=0)
    scale = jnp.zeros(()) if learned.scale is None else learned.scale
    parts = length, learned.theta, scale, network.gains(learned) * length
    return jnp.stack([jnp.all(jnp.isfinite(x)) for x in parts])


def _finite(layout: Layout, trials: Trial, learned: Learned) -> Array:
    return layout.map(lambda t, x: finite(t.network.for_inference(), x), trials, learned)


def look(layout: Layout, cell: Cell, learned: Learned) -> Array:
    """`finite` of a cell's networks, bool[n_trials, 4], on their device."""
    return jax.jit(_finite, static_argnums=0)(layout, cell.trials, learned)


def check(found: Array, cell: Cell, when: str) -> None:
    """Raises InputError if something that was looked at is not finite; `when` says since when."""
    for g, whole in enumerate(fetch(found)):
        if not np.all(whole):
            what = list(WHAT)[int(np.argmin(whole))]
            trial = take(cell.trials, g)
            numbers = [f"{path} = {value:g}" for path, value in _numbers(trial, WHAT[what])]
            raise InputError(
                f"{what} are not finite {when}, of trial {cell.index[g]} (run.seed = {int(trial.inputs.seed)}): they "
                f"ran away; take a smaller number of {', '.join(numbers)}"
            )


def _numbers(trial: Trial, paths: tuple[str, ...]) -> list[tuple[str, float]]:
    """Those of the numbers that a trial's network has, as a config calls them."""
    found = []
    for path in paths:
        value: Any = trial.network
        for key in path.split("."):
            value = getattr(value, key, None)
        if value is not None:
            found.append((path if path.startswith(("rule.", "neuron.")) else f"network.{path}", float(value)))
    return found
