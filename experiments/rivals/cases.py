"""The cases of experiments/benchmark.py."""

import dataclasses

ALONE = "alone"  # what a grid is compared with: its trials one after the other on one core, times the cores
BY_GRADIENTS = ("layer", "training", "memory")  # kinds of cases
PLAIN = "plain"  # what chunks are compared with: jax.lax.scan over the steps of the whole network, nothing recomputed


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured, and beside whom."""

    name: str
    # two_layer, three_layer, conductance, stdp (neuroSush's), grid (of one network), study (36 cells); by gradients:
    # layer (one pass forwards and backwards), training (updates), memory (a pass, and what it holds)
    kind: str
    rival: str
    n: int = 100  # neurons
    steps: int = 250  # of a presentation; of 1 ms
    batch: int = 1
    intensity: float = 128.0  # Hz for white
    learning: bool = True
    seeds: int = 1  # trials of a grid, or of each cell of a study
    rival_batch: int = 0  # presentations at once, for the rival; 0: as for jsnn
    block: int = 256  # presentations that are looked at
    pass_images: int = 4096  # presentations of a call of jsnn, over all its trials
    burn_in: int = 512  # presentations that jsnn learns before it is measured
    check: int = 3  # presentations on which event and dense engine are compared
    run_each: bool = False  # Brian2 runs each image apart
    constant: bool = False  # of a training: the image is the current of every step, not the rate of spikes
    chunk: int = 0  # steps whose states are computed again; 0: none
    note: str = ""

    @property
    def unit(self) -> str:
        """What is counted per second."""
        units = {"stdp": "steps", "layer": "passes", "memory": "passes", "training": "updates"}
        return units.get(self.kind, "images")

    @property
    def by_gradients(self) -> bool:
        """Whether it is a gradient that is measured, not plasticity."""
        return self.kind in BY_GRADIENTS

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the input and of each layer."""
        return {
            "layer": (self.n, self.n),
            "training": (784, self.n, 10),
            "memory": (784, self.n, 10),
            "three_layer": (784, self.n, self.n),
            "conductance": (784, self.n, self.n),
        }.get(self.kind, (784, self.n))

    @property
    def shape(self) -> str:
        """The case in a few words."""
        layers = "-".join(str(size) for size in self.sizes)
        trials = {"grid": f", {self.seeds} trials", "study": f", 36 cells x {self.seeds} seeds"}.get(self.kind, "")
        return f"{layers}, T={self.steps}, batch {self.batch}{trials}{'' if self.learning else ', frozen'}"


STDP = "soft-bound STDP at 5 % input, 5 winners a step; neuroSush normalises each step, jsnn each 250 steps"
EXAMPLE = "64 images at once; BindsNET one at a time, as its example does"
DIEHL_COOK = "configs/diehl_cook/published.toml, triplet rule, without repeats; Brian2"
TWO_RUNS = f"{DIEHL_COOK} in two runs an image, as its example has it"
PUBLISHED = Case(
    "conductance-n400", "conductance", "brian2", n=400, steps=1000, intensity=63.75, block=64, pass_images=128,
    burn_in=256, check=2, note=f"{DIEHL_COOK} in one run for all images",
)  # fmt: skip
PASS = "gradient of the summed spikes with respect to the weights; inputs of a normal distribution"
UPDATE = "Adam, arctan, cross-entropy of the spike counts"
CONSTANT = f"{UPDATE}; the first product is made once for all steps, by all"
CHUNKED = "chunks of 40 steps; jax.lax.scan over the steps of the whole network"
FROZEN = Case(
    "frozen-n6400-b64", "two_layer", "bindsnet", n=6400, learning=False, block=64, pass_images=1024, rival_batch=64
)
CASES = (
    *(
        Case(f"online-n{n}", "two_layer", "bindsnet", n=n, pass_images=min(4096, 6400 * 1024 // n))
        for n in (100, 400, 1600, 6400)
    ),
    Case("batch32-n100", "two_layer", "bindsnet", batch=32),
    Case("stdp-784x400", "stdp", "neurosush", n=400, block=16, note=STDP),
    Case("stdp-784x400-b32", "stdp", "neurosush", n=400, batch=32, block=128, note=f"{STDP}; steps of the whole batch"),
    *(Case(f"layers-h{n}", "three_layer", "ngclearn", n=n, steps=200, intensity=63.75) for n in (100, 400)),
    PUBLISHED,
    dataclasses.replace(PUBLISHED, name="conductance-n400-example", run_each=True, note=TWO_RUNS),
    dataclasses.replace(PUBLISHED, name="conductance-n6400", n=6400, check=0),
    dataclasses.replace(FROZEN, name="frozen-n6400", rival_batch=1, note=EXAMPLE),
    FROZEN,
    Case("study-36x5", "study", ALONE, steps=50, batch=32, seeds=5, note="configs/matrix.toml"),
    *(Case(f"online-n400-t{t}", "two_layer", "bindsnet", n=400, steps=t) for t in (50, 100, 500, 1000)),
    *(Case(f"batch{b}-n100", "two_layer", "bindsnet", batch=b) for b in (4, 128)),
    *(Case(f"grid-{g}", "grid", ALONE, seeds=g) for g in (1, 4, 12, 36)),
    Case("layer-n512", "layer", "spyx", n=512, steps=500, batch=16, note=PASS),
    *(
        Case(f"training{suffix}-{rival}", "training", rival, n=512, steps=25, batch=128, constant=constant, note=note)
        for suffix, constant, note in (("", False, f"{UPDATE}; Bernoulli spikes"), ("-constant", True, CONSTANT))
        for rival in ("spyx", "snntorch", "spikingjelly", "norse")
    ),
    Case("memory-t2000", "memory", PLAIN, n=512, steps=2000, batch=16, chunk=40, note=CHUNKED),
)
