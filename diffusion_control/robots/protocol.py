# SPDX-License-Identifier: Apache-2.0
"""What planners, tracker, safety and simulation need of a robot, whatever its kind.

Small on purpose: an arm (`arm.Arm`) stands behind it, and a base can. Code that uses only these
names works for both; what only arms have (tool Jacobian, dynamics) is on `Arm` itself.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffusion_control.robots.limits import JointLimits
from diffusion_control.robots.nearest import ALL_ROWS, Nearest
from diffusion_control.robots.obstacles import Obstacle, ObstacleArrays
from diffusion_control.robots.occupancy_map import OccupancyMap
from diffusion_control.robots.scan import Scan

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]


class Collision(Protocol):
    """Distances of the robot's shape to obstacles, to itself and to the floor."""

    def clearance(self, position: Array, obstacles: ObstacleArrays) -> tuple[float, float]:
        """Return the distance to obstacles and to self and floor [m] at one configuration."""
        ...

    def path_clearance(
        self, positions: Array, times_s: Array, obstacles: ObstacleArrays
    ) -> tuple[Array, Array]:
        """Return both distances [m] at L configurations, obstacles advanced at their velocity."""
        ...

    def reach_clearance(
        self, positions: Array, times_s: Array, obstacles: ObstacleArrays, *,
        speed_m_s: float = 0.5, acceleration_m_s2: float = 2.0, velocity_error_m_s: float,
        turning_s: float = ..., spread_s: float = ...,
        give_up_m: tuple[float, float, float] = ...,
    ) -> tuple[Array, Array]:
        """Return lower bounds of both distances [m] to whatever a bounded mover can reach."""
        ...

    def nearest(
        self, position: Array, obstacles: ObstacleArrays, times_s: Array, *, limit: int = ALL_ROWS,
    ) -> Nearest:
        """Return the nearest points of each link to obstacles, own links and the floor."""
        ...

    def cost(
        self, positions: Array | Array32, times_s: Array | Array32, obstacles: ObstacleArrays,
        margin_m: float, own_margin_m: float, gradient: bool,
    ) -> tuple[Array32, Array32, Array32 | None]:
        """Return the sum of squared hinges [m^2], the clearance [m] and the gradient [m^2/rad]."""
        ...

    def warm_up(self) -> None:
        """Compile everything, so that no later call waits for a compiler."""
        ...


class Robot(Protocol):
    """What is driven: names, limits, a resting place, a tool point and a shape."""

    @property
    def kind(self) -> str:
        """`arm` or `base`."""
        ...

    @property
    def name(self) -> str:
        """Name of the robot, from its file."""
        ...

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Joints in the one fixed order of all arrays."""
        ...

    @property
    def dof(self) -> int:
        """Number of joints n."""
        ...

    @property
    def base_frame(self) -> str:
        """Frame of obstacles, tool poses and goals."""
        ...

    @property
    def tool_frame(self) -> str:
        """Frame whose pose counts for reaching a goal."""
        ...

    @property
    def limits(self) -> JointLimits:
        """What the joints can do."""
        ...

    @property
    def home_rad(self) -> Array:
        """A configuration free of collision, shape [n]."""
        ...

    @property
    def reach_m(self) -> float:
        """Upper bound of the distance from the base to the tool [m]."""
        ...

    @property
    def goal_tolerance(self) -> tuple[float, float]:
        """How near counts as there: distance [m] and angle [rad] of the tool frame."""
        ...

    @property
    def collision(self) -> Collision:
        """Shape and distances."""
        ...

    def tool_positions(self, positions: Array) -> Array:
        """Return the tool's positions [K, 3] [m] at configurations [K, n]."""
        ...

    def pack(
        self, obstacles: tuple[Obstacle, ...], map: OccupancyMap | None = None,
        scan: Scan | None = None,
    ) -> ObstacleArrays:
        """Return what surrounds the robot as the arrays that `collision` reads.

        Args:
            obstacles: In the base frame.
            map: Of a base.
            scan: Of a base.
        """
        ...

    def tool_pose(self, position: Array) -> tuple[Array, Array]:
        """Return position [3] [m] and rotation [3, 3] of the tool."""
        ...
