"""The examples run: with stand-ins where the library that they are for is not installed."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from torch.utils.data import TensorDataset

from taskdiscovery.cli.parser import build

ROOT = Path(__file__).parents[1]


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Module(torch.nn.Linear):
    """As much of a LightningModule as the callback asks for."""

    device = torch.device("cpu")

    def log(self, name, value, **_):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.logged[name] = value


def test_the_callback_logs_accuracies_of_both_sides(monkeypatch):
    stand_in = SimpleNamespace(Callback=object, LightningModule=torch.nn.Module)
    monkeypatch.setitem(sys.modules, "lightning", stand_in)
    images, classes = torch.randn(500, 3), torch.arange(500) % 2
    images[:, 0] = 2.0 * classes - 1
    along = TensorDataset(images, classes)
    against = TensorDataset(images[:300], 1 - classes[:300])
    module = Module(3, 2).train()
    module.logged = {}
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-9.0, 0, 0], [9, 0, 0]]))
        module.bias.zero_()
    callback = example("lightning_callback").SideAccuracy({"with": along, "against": against}, 64)
    callback.on_train_epoch_end(None, module)
    assert module.logged == {"accuracy/with": 1.0, "accuracy/against": 0.0}
    assert module.training


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_callback_runs_under_lightning():
    pytest.importorskip("lightning")
    found = example("lightning_callback").main(epochs=6)
    assert found["accuracy/with_the_task"] > 0.8
    assert found["accuracy/against_it"] < found["accuracy/with_the_task"] - 0.3


def test_the_workflow_runs_commands_that_there_are():
    text = (ROOT / "examples" / "audit-pull-requests.yml").read_text("utf-8")
    work = yaml.safe_load(text)
    job = work["jobs"]["audit"]
    assert work[True]["pull_request"]["paths"][0] == "data/**"  # YAML 1.1 reads `on` as true
    steps = [step for step in job["steps"] if "run" in step]
    lines = [line for step in steps for line in step["run"].splitlines()]
    commands = [line for line in lines if line.startswith("taskdiscovery ")]
    assert len(commands) == 2
    for line in commands:
        words = shlex.split(re.split(r"[|>]", line)[0].replace("$DATA", job["env"]["DATA"]))
        given = build().parse_args(words[1:])
        assert given.data == "folder:data/photos"
    assert given.strict
    kept = next(step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
    assert kept["with"]["path"] == f"{given.out}/audit.html"
    # A verdict of FAIL fails the job although `tee` ends well, and the page is kept all the same.
    assert steps[-1]["shell"] == "bash"  # which GitHub starts with -o pipefail
    assert kept["if"] == "always()"


def test_the_hooks_are_commands_that_there_are():
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert [hook["id"] for hook in hooks] == ["audit", "audit-installed"]
    assert [hook["language"] for hook in hooks] == ["python", "system"]
    for hook in hooks:
        assert not hook["pass_filenames"]
        words = [*shlex.split(hook["entry"]), "folder:photos", "--target", "label", *hook["args"]]
        assert build().parse_args(words[1:]).strict
