"""One short clip of a known person, rendered and run once for all end-to-end tests."""

from __future__ import annotations

import pytest

from mocap_video.pipeline.config import load_config
from mocap_video.pipeline.lifting import Settings
from mocap_video.pipeline.progress import SilentProgress
from mocap_video.pipeline.run import Clip, run_clip
from synth.runs import Run, Site, render_site


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(load_config("embedded"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return render_site(tmp_path_factory.mktemp("site it's"))


@pytest.fixture(scope="session")
def first_run(site: Site, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Run:
    output = tmp_path_factory.mktemp("out") / "it's <b>"
    result = run_clip(Clip(site.clip), site.calib, output, settings, SilentProgress())
    return Run(site, output, result)
