"""What is handed out: versions, wheel and sdist, and the demo where nothing else is installed."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import taskdiscovery as td

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins(name):
    lines = (ROOT / name).read_text("utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {package.lower().replace("_", "-"): version for package, version in found}


def test_the_version_stands_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", td.__version__)
    for name in ("pyproject.toml", "CITATION.cff", "README.md", "docs/releasing.md"):
        assert f"{td.__version__}\n" not in (ROOT / name).read_text("utf-8")


def test_what_is_declared_is_what_is_tested_as_lowest():
    lowest, newest = pins("constraints-lowest.txt"), pins("constraints.txt")
    for text in PROJECT["project"]["dependencies"]:
        needed = Requirement(text)
        [bound] = needed.specifier
        assert bound.operator == ">="
        if needed.name == "torch":
            assert lowest["torch"] == newest["torch"]
        else:  # 3.1 and 3.1.0 are one version
            assert needed.specifier.contains(lowest[needed.name])
            assert lowest[needed.name].removesuffix(".0") == bound.version.removesuffix(".0")
        assert needed.specifier.contains(newest[needed.name])
    tools = map(Requirement, PROJECT["project"]["optional-dependencies"]["test"])
    for tool in tools:
        assert tool.name not in lowest or tool.specifier.contains(lowest[tool.name])


def test_the_citation_names_the_paper_too():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["license"] == PROJECT["project"]["license"]
    assert {"message", "title", "authors"} <= set(cited)
    [paper] = cited["references"]
    assert paper["url"] == PROJECT["project"]["urls"]["Paper"]
    assert [author["family-names"] for author in paper["authors"]][::4] == ["Atanov", "Zamir"]


def test_issue_templates_are_forms():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 4
    for form in forms:
        read = yaml.safe_load(form.read_text("utf-8"))
        if form.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= set(read)
        fields = [field for field in read["body"] if field["type"] != "markdown"]
        ids = [field["id"] for field in fields]
        assert len(set(ids)) == len(ids)
        for field in fields:
            assert field["type"] in ("textarea", "input", "dropdown", "checkboxes")
            assert field["attributes"]["label"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, made of a copy of the files that are under version control."""
    pytest.importorskip("build")
    place = tmp_path_factory.mktemp("built")
    unwanted = shutil.ignore_patterns(
        ".*", "*.egg-info", "__pycache__", "build", "dist", "runs", "demo-run", "scratch", "results"
    )
    shutil.copytree(ROOT, place / "source", ignore=unwanted)
    words = [sys.executable, "-m", "build", "--outdir", str(place / "dist"), str(place / "source")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel], [sdist] = ((place / "dist").glob(ending) for ending in ("*.whl", "*.tar.gz"))
    return wheel, sdist


@pytest.mark.slow
def test_wheel_and_sdist_hold_what_they_should(built):
    wheel, sdist = built
    assert wheel.name == f"taskdiscovery-{td.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"taskdiscovery-{td.__version__}.dist-info/METADATA").decode()
    package = ROOT / "src"
    own = {
        file.relative_to(package).as_posix()
        for file in (package / "taskdiscovery").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if name.startswith("taskdiscovery/")} == own
    templates = {name for name in own if name.endswith((".j2", ".css", ".js", ".yaml", ".csv"))}
    assert len(templates) >= 9
    assert {name.split("/")[0] for name in names} == {
        "taskdiscovery",
        f"taskdiscovery-{td.__version__}.dist-info",
    }
    assert "License-Expression: MIT" in metadata
    assert any(name.endswith("licenses/LICENSE") for name in names)
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in own} <= files
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"} <= files
    assert not {name for name in files if name.split("/")[0] in ("tests", "benchmarks", "docs")}
    twine = pytest.importorskip("twine", reason="twine is not installed").__name__
    words = [sys.executable, "-m", twine, "check", "--strict", str(wheel), str(sdist)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_bare_environment_runs_the_demo(built, tmp_path):
    bare = tmp_path / "bare"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    core = min(os.sched_getaffinity(0))

    def run(*words):
        """Run a program of the environment on one core; return what it prints."""
        done = subprocess.run(
            [bare / "bin" / words[0], *words[1:]],
            cwd=tmp_path,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    subprocess.run([sys.executable, "-m", "venv", bare], check=True)
    pip = ("python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", built[0])
    run(*pip, "check")
    assert not re.search(r"^(pytest|matplotlib|transformers|ray) ", run(*pip, "list"), re.M)
    assert run("taskdiscovery", "--version").strip() == td.__version__
    home = run("python", "-c", "import taskdiscovery as td; print(td.__file__)")
    assert home.startswith(str(bare))
    page = Path(run("taskdiscovery", "demo", "--quiet").split("\n")[-2])
    assert "<html" in (tmp_path / page).read_text("utf-8")[:400]
    assert "task_000" in (tmp_path / page).read_text("utf-8")
    run("taskdiscovery", "verify", str(page.parent))
