# SPDX-License-Identifier: Apache-2.0
"""Kinematics and dynamics against pinocchio's own, on the robots that ship."""

import numpy as np
import pinocchio as pin
import pytest

from diffusion_control import robots
from diffusion_control.errors import ConfigurationError
from diffusion_control.robots.chain import rotation_to

NAMES = ('panda', 'ur5')
ODD = """<robot name="odd"><link name="world"/><link name="plate"/><link name="a"/><link name="b"/>
<joint name="mount" type="fixed"><parent link="world"/><child link="plate"/>
 <origin xyz="0.3 -0.2 0.5" rpy="0.3 -0.4 0.5"/></joint>
<joint name="one" type="revolute"><parent link="plate"/><child link="a"/>
 <origin xyz="0.1 0.2 0.3" rpy="0.5 0.1 -0.7"/><axis xyz="0.6 0 -0.8"/>
 <limit lower="-2" upper="2" effort="10" velocity="2"/></joint>
<joint name="two" type="revolute"><parent link="a"/><child link="b"/>
 <origin xyz="0.0 0.4 0.1" rpy="-0.2 0.9 0.1"/><axis xyz="0 0 -1"/>
 <limit lower="-2" upper="2" effort="10" velocity="2"/></joint></robot>"""
ODD_FILE = """
name: odd
kind: arm
urdf: {urdf}
joint_names: [one, two]
base_frame: plate
tool_frame: b
tool_offset_m: [0.1, 0.2, 0.3]
home_rad: [0.1, 0.2]
limits: {{lower_rad: [-1, -1], upper_rad: [1, 1], velocity_rad_s: [1, 1], torque_nm: [9, 9],
         acceleration_rad_s2: [1, 1], jerk_rad_s3: [9, 9]}}
drive: {{stiffness: [1, 1], damping: [1, 1], armature: [0, 0], joint_damping: [0, 0],
        friction_loss: [0, 0]}}
controller: {{name: c, command_topic: c/t, command_type: joint_trajectory, joint_states_topic: j}}
shape: {{spheres: {{plate: [[0, 0, 0, 0.1]], a: [[0.1, 0.2, 0.3, 0.1]],
                   b: [[0.3, 0.2, 0.1, 0.1]]}}}}
"""


@pytest.fixture(scope='module')
def odd(tmp_path_factory: pytest.TempPathFactory) -> robots.Arm:
    """Return an arm with skew axes, and a base that is not the world."""
    folder = tmp_path_factory.mktemp('odd')
    (folder / 'odd.urdf').write_text(ODD)
    (folder / 'odd.yaml').write_text(ODD_FILE.format(urdf=folder / 'odd.urdf'))
    return robots.load(str(folder / 'odd.yaml'))


def postures(arm: robots.Arm, count: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(arm.limits.lower_rad, arm.limits.upper_rad, (count, arm.dof))


def reference(arm: robots.Arm, position: np.ndarray) -> tuple[pin.Data, pin.SE3]:
    """Return pinocchio's data at a configuration, and the base in the world."""
    data = arm.model.createData()
    pin.framesForwardKinematics(arm.model, data, position)
    return data, data.oMf[arm.model.getFrameId(arm.base_frame)].copy()


def arms(odd: robots.Arm) -> list[robots.Arm]:
    return [odd, *(robots.load(name) for name in NAMES)]


def test_tool_pose_is_pinocchios(odd: robots.Arm) -> None:
    for arm in arms(odd):
        for position in postures(arm, 30):
            data, base = reference(arm, position)
            frame = data.oMf[arm.model.getFrameId(arm.tool_frame)]
            wanted = base.inverse() * frame * pin.SE3(np.eye(3), arm.config.tool_offset_m)
            tool, rotation = arm.tool_pose(position)
            assert tool == pytest.approx(wanted.translation, abs=1e-12)
            assert rotation == pytest.approx(wanted.rotation, abs=1e-12)
            assert np.linalg.norm(tool) <= arm.reach_m


def test_panda_tool_at_home() -> None:
    arm = robots.load('panda')
    tool, rotation = arm.tool_pose(arm.home_rad)
    assert tool == pytest.approx([0.30689, 0.0, 0.48688], abs=1e-4)
    assert rotation == pytest.approx(np.diag([1.0, -1.0, -1.0]), abs=1e-5)


def test_tool_positions_are_the_poses(odd: robots.Arm) -> None:
    for arm in arms(odd):
        positions = postures(arm, 17)
        wanted = np.array([arm.tool_pose(position)[0] for position in positions])
        assert (arm.tool_positions(positions) == wanted).all()


def test_sphere_centres_move_with_their_links(odd: robots.Arm) -> None:
    for arm in arms(odd):
        model = arm.collision
        for position in postures(arm, 10):
            data, base = reference(arm, position)
            centres = model.centres(position)
            for shape in arm.config.shape.links:
                frame = base.inverse() * data.oMf[arm.model.getFrameId(shape.link)]
                wanted = shape.spheres[:, :3] @ frame.rotation.T + frame.translation
                mine = centres[model.link == model.links.index(shape.link)]
                assert mine == pytest.approx(wanted, abs=1e-12)


def test_jacobian_is_the_derivative_of_the_pose(odd: robots.Arm) -> None:
    h = 1e-6
    for arm in arms(odd):
        for position in postures(arm, 5):
            jacobian = arm.tool_jacobian(position)
            _, rotation = arm.tool_pose(position)
            for j in range(arm.dof):
                step = h * np.eye(arm.dof)[j]
                (p1, r1), (p0, r0) = arm.tool_pose(position + step), arm.tool_pose(position - step)
                assert jacobian[:3, j] == pytest.approx((p1 - p0) / (2 * h), abs=1e-7)
                skew = (r1 - r0) @ rotation.T / (2 * h)
                turning = np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
                assert jacobian[3:, j] == pytest.approx(turning, abs=1e-7)


def test_dynamics_agree_with_each_other() -> None:
    rng = np.random.default_rng(2)
    for name in NAMES:
        arm = robots.load(name)
        for position in postures(arm, 10):
            velocity, acceleration = rng.normal(size=(2, arm.dof))
            mass = arm.mass_matrix(position)
            assert (mass == mass.T).all()
            assert np.linalg.eigvalsh(mass).min() > 0
            wanted = mass @ acceleration + arm.bias(position, velocity)
            assert arm.inverse_dynamics(position, velocity, acceleration) == pytest.approx(wanted)
            assert arm.bias(position, np.zeros(arm.dof)) == pytest.approx(arm.gravity(position))


def test_folding_rotations_turn_z_into_the_axis() -> None:
    rng = np.random.default_rng(3)
    axes = [*rng.normal(size=(20, 3)), np.array([0, 0, -1.0]), np.array([0, 1e-9, -1.0])]
    for axis in axes:
        unit = axis / np.linalg.norm(axis)
        fold = rotation_to(unit)
        assert fold[:, 2] == pytest.approx(unit, abs=1e-7)
        assert fold @ fold.T == pytest.approx(np.eye(3), abs=1e-7)
        assert np.linalg.det(fold) == pytest.approx(1.0)


def test_joints_that_cannot_be_driven_are_refused(odd: robots.Arm) -> None:
    for kind, says in (('prismatic', 'revolute'), ('continuous', 'revolute')):
        text = ODD.replace('name="two" type="revolute"', f'name="two" type="{kind}"')
        with pytest.raises(ConfigurationError, match=says):
            robots.load(str(odd.config.file), urdf_text=text)
    branch = ODD.replace('<parent link="a"/>', '<parent link="plate"/>')
    with pytest.raises(ConfigurationError, match='serial chain'):
        robots.load(str(odd.config.file), urdf_text=branch)
