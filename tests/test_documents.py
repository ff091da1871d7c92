"""The documents: their Python runs as printed, their configs are configs, their links lead somewhere."""

import re
import sys
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from jsnn import data, runs
from jsnn.grid.observer import Observer
from jsnn.runs import config

ROOT = Path(__file__).parents[1]
PLACES = ("*.md", "configs/**/*.md", "experiments/**/*.md", "jsnn/**/*.md", "tests/**/*.md", "checkpoints/*.md")
DOCUMENTS = {str(p.relative_to(ROOT)): p.read_text() for place in PLACES for p in sorted(ROOT.glob(place))}


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENTS[name], flags=re.DOTALL | re.MULTILINE)


def test_there_is_python_to_run():
    assert len(blocks("README.md", "python")) >= 4 and len(DOCUMENTS) >= 6


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if blocks(name, "python")])
def test_python_runs_as_printed(name, tmp_path, monkeypatch):
    """All blocks of a document, one after the other, in a directory that has the repository's checkpoints."""
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "document"}
    monkeypatch.setitem(sys.modules, "document", type(sys)("document"))
    for number, block in enumerate(blocks(name, "python"), 1):
        exec(compile(block, f"{name}, Python block {number}", "exec"), names)
    plt.close("all")
    written = {path.name for path in tmp_path.glob("*.png")}
    assert written == set(re.findall(r'savefig\("(.*?)"\)', "".join(blocks(name, "python"))))


def test_the_study_of_the_readme_runs(tmp_path):
    (rule,) = [block for block in blocks("README.md", "python") if "class MyRule" in block]
    (tmp_path / "my_rules.py").write_text(rule)
    (study,) = blocks("README.md", "toml")
    (tmp_path / "my_study.toml").write_text(study)
    few = ["data.n_train=20", "data.n_assign=10", "data.n_test=10", "run.n_steps=20", "network.n_neurons=10"]
    cfg = config.load(tmp_path / "my_study.toml", [*few, "sweep.run.seed=[0]"])
    lines = runs.run(cfg, data.load("mnist_excerpt"), tmp_path / "out", Observer(), clock=False)
    assert [line["rule"] for line in lines] == ["mine", "stdp"]


def test_configs_in_documents_are_configs():
    study, search = blocks("configs/README.md", "toml")
    tables = tomllib.loads(study)
    assert len(config.parse(tables).entries) == 4 * 9
    plain = {key: table for key, table in tables.items() if key not in ("sweep", "cell")}
    assert config.parse(plain | tomllib.loads(search)).search is not None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)#\s]+)", DOCUMENTS[name]):
        if "://" not in link:
            assert ((ROOT / name).parent / link).exists(), f"{name}: {link}"
