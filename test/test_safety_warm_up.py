# SPDX-License-Identifier: Apache-2.0
"""Nothing is compiled inside the control loop: a fresh process, after the exercise, has it all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import gc, sys
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
import numpy as np
from numba.core.registry import CPUDispatcher
from diffusion_control import robots, safety
from diffusion_control.safety.warm_up import exercise

def compiled():
    return {(d.py_func.__module__, d.py_func.__name__, str(s))
            for d in gc.get_objects() if isinstance(d, CPUDispatcher) for s in d.signatures}

robot = robots.load('panda')
exercise(safety.make(robot, rate_hz=100.0), robot)
before = compiled()
from diffusion_control.nodes import wire
from diffusion_control.trajectory.trajectory import Trajectory
from safety_world import ARM, GOOD, SPIN, Obstacle, Pusher, drive, spinning, world
q = np.asarray(ARM.home_rad, dtype=float)
ball = Obstacle('sphere', (0.08,), ARM.tool_pose(q)[0] + np.array([0.0, 0.25, 0.0]), key='b')
w = world(standing=(ball,), **{'workspace.upper_m': (9.0, 9.0, 9.0), 'tool_speed_max_m_s': 3.0})
drive(w, 1.0, SPIN)
w.monitor.tighten({'tool_speed_max_m_s': 0.5})
drive(w, 0.3, SPIN)
drive(w, 0.3, SPIN, health=replace(GOOD, emergency_stop=True))
w = spinning()
drive(w, 0.3, None)
pusher, w = Pusher(ARM.limits), spinning()
for tick in range(10):
    m = pusher.motion(w.monitor.committed, w.now_s, SPIN)
    found = wire.decode(wire.encode(m))
    w.tick(Trajectory(found[0], found[3], found[4], found[5], np.zeros_like(found[4]), found[2],
                      m.frame_id))
fortran = replace(m, position=np.asfortranarray(m.position))
fortran.velocity.flags.writeable = False
w.tick(fortran)
late = sorted(item for item in compiled() - before if 'safety' in item[0] or 'robots' in item[0])
print('LATE', late)
sys.exit(bool(late))
"""


def test_nothing_is_compiled_after_the_exercise(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(Path(__file__).parent)], capture_output=True, text=True,
        timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert 'LATE []' in done.stdout
