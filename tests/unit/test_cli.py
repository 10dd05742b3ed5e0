"""The command line: help, options refused before any work, and an exit code for every kind of end."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from mocap_video.errors import (
    ArtifactError,
    CalibrationError,
    ConfigError,
    KeypointsError,
    MissingAsset,
    MissingExtra,
    NoPersonError,
    StorageError,
    VideoError,
)
from mocap_video.pipeline import cli


def leaves(group: click.Group, *path: str) -> dict[tuple[str, ...], click.Command]:
    """Return every command that does something, by the words that call it."""
    found: dict[tuple[str, ...], click.Command] = {}
    for name, command in group.commands.items():
        inner = leaves(command, *path, name) if isinstance(command, click.Group) else {(*path, name): command}
        found.update(inner)
    return found


COMMANDS = leaves(cli.main)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture
def failing_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """Let ``run`` end with an error of the test's choice."""
    from mocap_video.pipeline import run

    def fail(*_arguments: object, **_options: object) -> None:
        raise errors[0]

    errors: list[BaseException] = []
    monkeypatch.setattr(run, "run_clip", fail)
    return [errors, tmp_path]


def run_into(failing_run: list, error: BaseException, *options: str) -> Result:
    failing_run[0].append(error)
    return invoke("run", "clip.mp4", "--calib", "cam.yaml", "-o", failing_run[1], *options)


def test_the_installed_command_is_this_one() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="mocap-video")
    assert script.load() is cli.main


@pytest.mark.parametrize("command", [(), *sorted(COMMANDS)])
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    example = result.stdout.partition("Example:\n")[2]
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    assert lines
    for line in lines:
        assert line.startswith(" ".join(["mocap-video", *command]))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_says_what_it_is_for(command: tuple[str, ...]) -> None:
    for parameter in COMMANDS[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", ["run", "lift", "batch", "demo", "doctor", "export"])
def test_every_command_a_script_would_read_has_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name,].params)


@pytest.mark.parametrize(
    "options",
    [
        ["--people", "one"],
        ["--people", "0,1"],
        ["--people", ""],
        ["--start", "-1"],
        ["--height", "5"],
        ["--height", "tall"],
        ["--samples", "0"],
        ["--seed", "-1"],
        ["--device", "tpu"],
        ["--export", "docx"],
        ["--config", "nothing-like-it"],
        ["--config", "mine.py"],
        ["--trust"],
        ["--no-such-option"],
    ],
)
def test_a_bad_option_exits_2_and_writes_nothing(tmp_path: Path, options: list[str]) -> None:
    result = invoke("run", "clip.mp4", "--calib", "cam.yaml", "-o", tmp_path / "out", *options)
    assert result.exit_code == 2, result.output
    assert options[0].lstrip("-") in result.stderr
    assert not (tmp_path / "out").exists()


def test_calib_is_needed() -> None:
    assert invoke("run", "clip.mp4").exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("c"), 2),
        (VideoError("v"), 3),
        (CalibrationError("c"), 3),
        (KeypointsError("k"), 3),
        (NoPersonError("n"), 3),
        (MissingExtra("m"), 4),
        (MissingAsset("m"), 4),
        (ArtifactError("a"), 4),
        (StorageError("s"), 4),
        (KeyboardInterrupt(), 130),
        (RuntimeError("out of luck"), 1),
    ],
)
def test_each_end_has_its_exit_code_and_no_traceback(failing_run: list, error: BaseException, code: int) -> None:
    result = run_into(failing_run, error)
    assert result.exit_code == code
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert str(error) in result.stderr


def test_verbose_shows_where_an_error_comes_from(failing_run: list) -> None:
    result = run_into(failing_run, VideoError("clip.mp4: broken"), "-v")
    assert result.exit_code == 3
    assert "Traceback" in result.stderr
    assert result.stderr.strip().endswith("error: clip.mp4: broken")


def test_a_clip_that_is_not_there_exits_3(tmp_path: Path) -> None:
    result = invoke("run", tmp_path / "no <b>.mp4", "--calib", tmp_path / "cam.yaml", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "no <b>.mp4: no such file" in result.stderr


def test_keypoints_that_are_not_there_exit_3(tmp_path: Path) -> None:
    result = invoke("lift", tmp_path / "no.npz", "--calib", tmp_path / "cam.yaml", "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert "no.npz: no such file" in result.stderr


def test_export_of_a_folder_that_is_no_result_exits_4(tmp_path: Path) -> None:
    result = invoke("export", tmp_path, "--to", "csv")
    assert result.exit_code == 4
    assert "not a results folder" in result.stderr


def test_doctor_json_is_json_and_its_exit_code_says_whether_all_is_well(tmp_path: Path) -> None:
    result = invoke("doctor", "--json", "-o", tmp_path)
    checks = json.loads(result.stdout)
    well = all(check["ok"] for check in checks if check["needed"])
    assert result.exit_code == (0 if well else 4)
    assert all(check["ok"] or check["fix"] for check in checks)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom mocap_video.pipeline.cli import main\n"
        "try:\n    main(['run', '--help'])\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded = set(shown.partition("LOADED")[2].split())
    assert loaded & {"torch", "cv2", "mmengine", "OpenGL", "av", "scipy"} == set()


def test_weights_list_says_what_there_is_and_verify_exits_4_for_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCAP_VIDEO_WEIGHTS", str(tmp_path))
    listed = json.loads(invoke("weights", "list", "--json").stdout)
    assert {entry["state"] for entry in listed} == {"absent"}
    assert str(tmp_path) in invoke("weights", "list").stdout
    assert invoke("weights", "verify").exit_code == 0
    verified = invoke("weights", "verify", "vitpose-b")
    assert verified.exit_code == 4
    assert "mocap-video weights fetch vitpose-b" in verified.stdout
    refused = invoke("weights", "fetch", "vitpose-b", "nothing-like-it")
    assert refused.exit_code == 2
    assert list(tmp_path.iterdir()) == []
