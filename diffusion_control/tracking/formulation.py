# SPDX-License-Identifier: Apache-2.0
"""What every formulation of the tracking optimisation looks like from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.tracking.prediction import HorizonProblem

Array = NDArray[np.float64]
UNCONSTRAINED = 'unconstrained'


@dataclass(frozen=True)
class HorizonSolution:
    """Accelerations of the horizon, and how far to trust them.

    Attributes:
        acceleration: At knots 1..N-1 [rad/s^2], shape [N-1, n].
        status: `unconstrained`, or the status of the worst solve.
        iterations: Sum over all solves of this tick.
        active: Joints that have an active limit, shape [n], bool.
        torque_active: Torque rows were part of the solve.
        slack_nm: Relaxation of the torque rows [Nm].
    """

    acceleration: Array
    status: str
    iterations: int
    active: NDArray[np.bool_]
    torque_active: bool = False
    slack_nm: float = 0.0


class Formulation(Protocol):
    """A way to pose and solve the horizon problem."""

    solver_name: str
    keeps: bool

    def solve(
        self, problem: HorizonProblem, guess: Array | None, *, keep: bool = False
    ) -> HorizonSolution:
        """Return the accelerations.

        Args:
            problem: The tick.
            guess: Accelerations to start from, shape [N-1, n]; None starts cold.
            keep: Start from what the last solve ended with. Where `keeps` says that this is the
                solver's own memory (its active set), the guess is not needed.
        """
        ...
