"""Errors that a user can meet. Each message says what was wrong, what was expected and got, and what to do."""

from __future__ import annotations


class MocapVideoError(Exception):
    """Base of every error the tool raises on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class ConfigError(MocapVideoError):
    """A bad option, an unknown config key, or values that contradict each other."""

    exit_code = 2


class InputError(MocapVideoError):
    """The input cannot be used."""

    exit_code = 3


class VideoError(InputError):
    """The video cannot be opened, decoded, or written."""


class CalibrationError(InputError):
    """The calibration is malformed, impossible, or does not belong to the video."""


class KeypointsError(InputError):
    """A file of 2D keypoints does not hold what its format promises."""


class NoPersonError(InputError):
    """No person was found where one is needed."""


class MissingExtra(MocapVideoError):
    """An optional package is not installed."""

    exit_code = 4


class MissingAsset(MocapVideoError):
    """A weights or body file is not there."""

    exit_code = 4


class ArtifactError(MocapVideoError):
    """A stored artifact, checkpoint or body file is not what it says."""

    exit_code = 4


class StorageError(MocapVideoError):
    """Results cannot be written: no space or no permission."""

    exit_code = 4


class ClusterError(MocapVideoError):
    """A cluster to work on does not answer or cannot be started."""

    exit_code = 4


class InUseError(StorageError):
    """Another run holds the output folder."""
