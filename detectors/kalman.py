"""A constant-velocity Kalman filter on the ground plane, in metres and seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_START_SPEED = 1.5
"""Standard deviation of a new person's speed, m/s a axis."""

_ROBUST_DISTANCE = 3.0
_OBSERVE = np.eye(2, 4)


@dataclass(frozen=True)
class FilterState:
    """What a ``GroundFilter`` knows: ``mean (4)`` m and m/s, ``covariance (4,4)``, at ``time_s`` s."""

    mean: np.ndarray
    covariance: np.ndarray
    time_s: float


class GroundFilter:
    """State ``(x, z, vx, vz)`` m and m/s with its covariance; ``time_s`` is the time that they hold for."""

    def __init__(self, position: np.ndarray, covariance: np.ndarray, time_s: float, acceleration: float) -> None:
        self.time_s = time_s
        self._acceleration = acceleration
        self._mean = np.concatenate([position, np.zeros(2)])
        self._covariance = np.zeros((4, 4))
        self._covariance[:2, :2] = covariance
        self._covariance[2:, 2:] = _START_SPEED**2 * np.eye(2)

    @property
    def state(self) -> FilterState:
        """What another filter needs to go on from here."""
        return FilterState(self._mean.copy(), self._covariance.copy(), self.time_s)

    @staticmethod
    def resumed(state: FilterState, acceleration: float) -> GroundFilter:
        """Return a filter that goes on from ``state``."""
        filter_ = GroundFilter(state.mean[:2], state.covariance[:2, :2], state.time_s, acceleration)
        filter_._mean, filter_._covariance = state.mean, state.covariance
        return filter_

    @property
    def position(self) -> np.ndarray:
        """``(2)`` m, at ``time_s``."""
        return self._mean[:2].copy()

    @property
    def velocity(self) -> np.ndarray:
        """``(2)`` m/s, at ``time_s``."""
        return self._mean[2:].copy()

    def predicted(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean ``(4)`` and covariance ``(4,4)`` at ``time_s``, not before the filter's own time."""
        dt = time_s - self.time_s
        move = np.eye(4)
        move[:2, 2:] = dt * np.eye(2)
        kick = np.concatenate([0.5 * dt**2 * np.eye(2), dt * np.eye(2)])
        noise = self._acceleration**2 * kick @ kick.T
        return move @ self._mean, move @ self._covariance @ move.T + noise

    def distance(self, position: np.ndarray, covariance: np.ndarray, time_s: float) -> float:
        """Return the Mahalanobis distance of a measured ``position (2)`` m with ``covariance (2,2)`` m^2."""
        mean, spread = self.predicted(time_s)
        innovation = position - mean[:2]
        return float(np.sqrt(innovation @ np.linalg.solve(spread[:2, :2] + covariance, innovation)))

    def update(self, position: np.ndarray, covariance: np.ndarray, time_s: float) -> None:
        """Take in a measured ``position (2)`` m; one that is far off (a jump, a hidden foot) counts for less."""
        distance = self.distance(position, covariance, time_s)
        mean, spread = self.predicted(time_s)
        if distance > _ROBUST_DISTANCE:
            covariance = covariance * (distance / _ROBUST_DISTANCE) ** 2
        gain = spread @ _OBSERVE.T @ np.linalg.inv(_OBSERVE @ spread @ _OBSERVE.T + covariance)
        self._mean = mean + gain @ (position - mean[:2])
        self._covariance = (np.eye(4) - gain @ _OBSERVE) @ spread
        self.time_s = time_s
