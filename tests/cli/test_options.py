"""Values of options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from minik8s.cli.options import cluster_options, duration
from minik8s.config import DEFAULT_CONTROLLERS, ClusterConfig


@click.command()
@cluster_options
def show(config: ClusterConfig) -> None:
    click.echo(f"{config.nodes} {sorted(config.images.items())}")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    """Go's durations and plain seconds."""
    assert duration(click.Context(show), click.Argument(["x"]), text) == seconds


@pytest.mark.parametrize("text", ["", "5 minutes", "m", "-5s", "1d"])
def test_durations_that_are_none(text: str) -> None:
    """Anything else is refused, and the message shows it."""
    with pytest.raises(click.BadParameter, match="is not a duration"):
        duration(click.Context(show), click.Argument(["x"]), text)


def test_images(tmp_path: Path) -> None:
    """Images come from a file and from options; an option wins over the file."""
    file = tmp_path / "images"
    file.write_text("# ours\nshop=./old --port 1\n\nbasket=./basket\n")
    result = CliRunner().invoke(show, ["--images", str(file), "--image", "shop=./shop a=b", "--nodes", "2"])
    assert result.output == "2 [('basket', './basket'), ('shop', './shop a=b')]\n"


@pytest.mark.parametrize("text", ["shop", "=x", "shop="])
def test_images_that_are_none(text: str, tmp_path: Path) -> None:
    """An entry without name or command is a usage error, in an option as in a file."""
    file = tmp_path / "images"
    file.write_text(f"good=./x\n{text}\n")
    for arguments in (["--image", text], ["--images", str(file)]):
        result: Any = CliRunner().invoke(show, arguments)
        assert result.exit_code == 2
        assert "NAME=COMMAND" in result.output


def test_choice_of_controllers() -> None:
    """`*` is every controller, -NAME all but that, and a name only that; "" leaves none."""

    @click.command()
    @cluster_options
    def names(config: ClusterConfig) -> None:
        click.echo(" ".join(config.controllers) + f" {config.scheduler}")

    def chosen(text: str) -> str:
        return CliRunner().invoke(names, ["--controllers", text, "--no-scheduler"]).output.strip()

    assert chosen("-job, deployment,job") == "deployment False"
    assert chosen("garbage-collector-controller,podgc") == "garbagecollector podgc False"
    assert chosen("") == "False"
    everything = " ".join(DEFAULT_CONTROLLERS)
    assert chosen("*") == f"{everything} False"
    assert chosen("*,-job,-cronjob") == f"{everything} False".replace(" job cronjob", "")


def test_stages(tmp_path: Path) -> None:
    """Stages are read before anything starts, and are for the simulated runtime."""

    @click.command()
    @cluster_options
    def staged(config: ClusterConfig) -> None:
        click.echo(str(config.stages == (file,)))

    file = tmp_path / "stages.yaml"
    stage = (
        "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\nspec:\n  resourceRef: {kind: Pod}\n  next: {delete: true}\n"
    )
    file.write_text(stage)
    arguments = ["--stage", str(file)]
    assert CliRunner().invoke(staged, [*arguments, "--runtime", "simulated"]).output == "True\n"
    assert "needs --runtime simulated" in CliRunner().invoke(staged, arguments).output
    file.write_text(stage + "  speed: 1\n")
    assert f"{file}:6: speed is not supported" in " ".join(CliRunner().invoke(staged, arguments).output.split())


@pytest.mark.parametrize(
    ("problem", "runtime", "said"),
    [("", "sandbox", "runtime: sandbox\n"), ("it needs Linux", "subprocess", "not possible here: it needs Linux\n")],
)
def test_auto_isolates_where_the_machine_lets_it(
    monkeypatch: pytest.MonkeyPatch, problem: str, runtime: str, said: str
) -> None:
    """`--runtime auto` is the sandbox where it is possible, else plain processes, and says which and why."""

    async def why_impossible() -> str:
        return problem

    monkeypatch.setattr("minik8s.kubelet.runtime.feasibility.why_impossible", why_impossible)

    @click.command
    @cluster_options
    def chosen(config: ClusterConfig) -> None:
        click.echo(config.runtime)

    result = CliRunner().invoke(chosen, ["--runtime", "auto"])
    assert result.stdout == f"{runtime}\n"
    assert result.stderr.endswith(said)
