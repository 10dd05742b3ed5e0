"""A process of its own for one clip: runs the job given as JSON in its argument and tells of it on stdout, in lines.

It ends with whoever started it, however that dies: its standard input is a pipe from there, which then closes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import logging
import os
import sys
import threading

from mocap_video.pipeline.batch_job import Ending, Job, RelayedProgress, Sign, perform

ORPHANED = 130


def main() -> None:
    """Run the job and tell how it ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    faulthandler.enable()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the log
    logging.basicConfig(format="%(levelname)s: %(message)s", stream=sys.stderr)

    def say(**message: object) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    ending = perform(read_job(sys.argv[1]), RelayedProgress(lambda sign: say(sign=dataclasses.asdict(sign))))
    if ending.reason:
        with contextlib.suppress(OSError):  # the log may lie on the disk whose fullness is the reason
            sys.stderr.write(f"error: {ending.reason}\n")
    say(ending=dataclasses.asdict(ending))


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written there: this returns when the pipe closes
    os._exit(ORPHANED)


def read_job(text: str) -> Job:
    """Return the job that ``write_job`` wrote."""
    values = json.loads(text)
    return Job(**{**values, "arguments": tuple(values["arguments"])})


def write_job(job: Job) -> str:
    """Return ``job`` in ASCII, whatever names it holds."""
    return json.dumps(dataclasses.asdict(job))


def read_message(line: bytes) -> Sign | Ending:
    """Return what ``main`` told in one line."""
    ((kind, values),) = json.loads(line).items()
    return Ending(**values) if kind == "ending" else Sign(**values)
