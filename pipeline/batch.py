"""``batch``: every recording of a site through ``run``, each apart from the others, and the books of it kept."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mocap_video.artifacts import RunLock, atomic_write
from mocap_video.errors import ArtifactError, StorageError
from mocap_video.pipeline.batch_crew import Workers, work_off
from mocap_video.pipeline.batch_display import BatchDisplay
from mocap_video.pipeline.batch_job import Ending, Job, Sign
from mocap_video.pipeline.manifest import Entry, Manifest
from mocap_video.pipeline.recordings import Recording, is_current, is_finished, list_recordings
from mocap_video.pipeline.remote_files import is_url
from mocap_video.pipeline.run_options import check_config
from mocap_video.pipeline.site import Site

SUMMARY = "summary.json"


@dataclass(frozen=True)
class BatchOptions:
    """``output``: where manifest, summary and, unless ``results`` is an fsspec URL for them, results go;
    ``retry_failed``: run failed clips again; ``timeout_s``: seconds that one clip may take.
    """

    output: Path
    results: str | None = None
    retry_failed: bool = False
    timeout_s: float = 86_400.0


@dataclass(frozen=True)
class Summary:
    """What became of a batch: every clip's line, ``seconds`` of wall clock, ``complete`` unless it was stopped."""

    site: str
    output: Path
    seconds: float
    complete: bool
    clips: tuple[Entry, ...]

    def counts(self) -> dict[str, int]:
        """Return how many clips there are in each state."""
        found = Counter(entry.state for entry in self.clips)
        return {state: found[state] for state in ("done", "nobody", "failed", "running", "waiting")}

    @property
    def failed(self) -> tuple[Entry, ...]:
        """The clips that failed."""
        return tuple(entry for entry in self.clips if entry.state == "failed")

    def as_json(self) -> str:
        """Return the summary for a script: ASCII, and safe inside a page's script element."""
        values = {**dataclasses.asdict(self), "output": str(self.output), "counts": self.counts()}
        return json.dumps(values, allow_nan=False, indent=2).replace("<", "\\u003c") + "\n"


def run_batch(site: Site, options: BatchOptions, workers: Workers, display: BatchDisplay) -> Summary:
    """Run every recording of ``site`` that has no finished result of the same inputs, and return what became of all.

    The summary is also written to the output folder, whatever ends the batch. Errors of a clip stay with the clip.
    """
    began = time.monotonic()
    if site.plan is not None:
        from mocap_video.pipeline.plan_picture import check_plan

        check_plan(site)
    for number, camera in enumerate(site.cameras):
        check_config(camera.arguments, f"cameras[{number}].options")
    with RunLock(options.output), Manifest(options.output) as manifest:
        books = _Books(site, options, manifest, display)
        try:
            with display:
                display.plan(len(books.clips), len(books.clips) - len(books.todo), f"on {workers.slots} worker(s)")
                work_off([books.job(number) for number in range(len(books.todo))], workers, books)
                _analyse(site, options.output, list(books.clips.values()), display)
        except StorageError:
            display.note(table(books.summary(time.monotonic() - began)))  # no file may have room for it
            raise
        finally:
            summary = books.summary(time.monotonic() - began)
            with atomic_write(options.output / SUMMARY) as partial:
                partial.write_text(summary.as_json(), encoding="utf-8")
    return summary


def _analyse(site: Site, output: Path, entries: Sequence[Entry], display: BatchDisplay) -> None:
    """Write what people did on the site's ground, for each clip, camera and the site; old results are taken in too."""
    if not site.zones and site.plan is None:
        return
    from mocap_video.pipeline.site_analysis import AnalysedClip, analyse_clip, sum_up

    clips = []
    for entry in entries:
        if not is_finished(entry) or is_url(entry.output):
            continue
        try:
            analyse_clip(Path(entry.output), site)
        except ArtifactError as error:
            display.note(f"{entry.camera}/{entry.clip}: left out of the site's sums: {error}")
        else:
            clips.append(AnalysedClip(entry.camera, Path(entry.output)))
    sum_up(output, site, clips)


class _Books:
    """Keeps the manifest in step with the work: the ``Foreman`` of the crew."""

    def __init__(self, site: Site, options: BatchOptions, manifest: Manifest, display: BatchDisplay) -> None:
        self._site, self._options, self._manifest, self._display = site, options, manifest, display
        known = manifest.entries()
        self._recordings = {recording.key: recording for recording in list_recordings(site, known)}
        self.clips = {key: self._entry(recording, known) for key, recording in self._recordings.items()}
        self.todo = [key for key, entry in self.clips.items() if self._is_due(entry)]
        self._began: dict[int, float] = {}
        manifest.put(*self.clips.values())

    def _entry(self, recording: Recording, known: Mapping[tuple[str, str], Entry]) -> Entry:
        """Return the line of ``recording``: that in the manifest where it tells of the same inputs, else a new one."""
        root = self._options.results or str(self._options.output.absolute())
        output = f"{root.rstrip('/')}/{recording.camera}/{recording.name}"
        fresh = Entry(recording.camera, recording.name, recording.source, output, inputs=recording.inputs)
        entry = known.get(recording.key)
        if entry is None:
            return fresh
        if not is_current(recording, entry):
            return dataclasses.replace(fresh, attempts=entry.attempts)
        inputs = dataclasses.replace(recording.inputs, clip_digest=entry.inputs.clip_digest)
        return dataclasses.replace(entry, output=output, inputs=inputs)  # the folder may have been moved as a whole

    def _is_due(self, entry: Entry) -> bool:
        if entry.state == "failed":
            return self._options.retry_failed
        return not is_finished(entry)

    def job(self, number: int) -> Job:
        """Return what is to be run as job ``number``."""
        key = self.todo[number]
        recording, entry = self._recordings[key], self.clips[key]
        return Job(recording.source, recording.calib, entry.output, recording.arguments, self._options.timeout_s)

    def begun(self, number: int) -> None:
        """Write down that a clip is being worked on."""
        self._began[number] = time.monotonic()
        entry = self.clips[self.todo[number]]
        self._write(dataclasses.replace(entry, state="running", attempts=entry.attempts + 1, reason="", exit_code=None))
        self._display.begun(entry)

    def signed(self, number: int, sign: Sign) -> None:
        """Show a sign of life; who gives it goes into the book with the next line."""
        key = self.todo[number]
        if sign.worker:
            self.clips[key] = dataclasses.replace(self.clips[key], worker=sign.worker)
        self._display.signed(self.clips[key], sign)

    def ended(self, number: int, ending: Ending, *, again: bool) -> None:
        """Write down how a clip ended."""
        entry = self.clips[self.todo[number]]
        state = "done" if ending.exit_code == 0 else "nobody" if ending.nobody else "waiting" if again else "failed"
        digest = ending.clip_digest or entry.inputs.clip_digest
        entry = dataclasses.replace(
            entry,
            state=state,
            reason=ending.reason,
            exit_code=ending.exit_code,
            seconds=round(time.monotonic() - self._began[number], 3),
            inputs=dataclasses.replace(entry.inputs, clip_digest=digest),
        )
        self._write(entry)
        self._display.ended(entry)

    def waited(self) -> None:
        """Nothing is to be done between signs."""

    def _write(self, entry: Entry) -> None:
        self.clips[entry.key] = entry
        self._manifest.put(entry)

    def summary(self, seconds: float) -> Summary:
        """Return what became of all clips."""
        clips = tuple(self.clips.values())
        complete = all(entry.state in ("done", "nobody", "failed") for entry in clips)
        return Summary(self._site.name, self._options.output, round(seconds, 1), complete, clips)


def table(summary: Summary) -> str:
    """Return the counts of each camera as a table, and every failed clip with its reason."""
    cameras: dict[str, list[Entry]] = {}
    for entry in summary.clips:
        cameras.setdefault(entry.camera, []).append(entry)
    rows = [_row(name, entries) for name, entries in cameras.items()]
    if len(rows) > 1:
        rows.append(_row("all", summary.clips))
    width = max(len(row[0]) for row in [("camera",), *rows])
    lines = [f"{name:<{width}}  {clips:>6}  {done:>6}  {nobody:>6}  {failed:>6}  {open_:>6}  {time_:>8}"
             for name, clips, done, nobody, failed, open_, time_ in [_HEAD, *rows]]  # fmt: skip
    lines += [f"failed  {entry.camera}/{entry.clip}: {entry.reason}" for entry in summary.failed]
    return "\n".join([*lines, f"results: {summary.output}"])


_HEAD = ("camera", "clips", "done", "nobody", "failed", "open", "seconds")


def _row(name: str, entries: Sequence[Entry]) -> tuple[str, ...]:
    found = Counter(entry.state for entry in entries)
    counts = (len(entries), found["done"], found["nobody"], found["failed"], found["waiting"] + found["running"])
    return name, *(str(count) for count in counts), f"{sum(entry.seconds for entry in entries):.0f}"
