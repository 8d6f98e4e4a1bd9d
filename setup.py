# SPDX-License-Identifier: Apache-2.0
"""Package of `diffusion_control`, for pip and for colcon (ament_python)."""

import subprocess
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

NAME = 'diffusion_control'
SHARE = f'share/{NAME}'
NODES = ('planner', 'tracker', 'safety', 'fallback', 'simulator', 'viewer', 'recorder')

ROS = [  # the Jazzy set; an unpinned ros-* wheel is of another distribution
    'ros-rclpy[fastrtps]==7.1.6',
    'ros-action-msgs==2.0.3',
    'ros-ament-index-python==1.8.1',
    'ros-builtin-interfaces==2.0.3',
    'ros-diagnostic-msgs==5.3.6',
    'ros-geometry-msgs==5.3.6',
    'ros-lifecycle-msgs==2.0.3',
    'ros-nav-msgs==5.3.6',
    'ros-rcl-interfaces==2.0.3',
    'ros-rosgraph-msgs==2.0.3',
    'ros-sensor-msgs==5.3.6',
    'ros-service-msgs==2.0.3',
    'ros-std-msgs==5.3.6',
    'ros-std-srvs==5.3.6',
    'ros-trajectory-msgs==5.3.6',
    'ros-type-description-interfaces==2.0.3',
    'ros-unique-identifier-msgs==2.5.0',
    'ros-visualization-msgs==5.3.6',
]
SIM = ['mujoco>=4.0,<5']
TRAIN = [
    'diffusers>=0.36,<1',  # its schedulers, to compare ours with
    'onnx>=1.20,<2',
    'onnxscript>=0.5,<1',
    'safetensors>=0.5',
    'torch==2.13.0',
]
TEST = [
    'pytest==8.3.5',  # 9 and 8.4 clash with launch_testing and launch_pytest
    'pytest-timeout>=2.4,<3',
    'pytest-xdist>=3.8,<4',
    'hypothesis>=6.100,<7',
    'onnx>=1.17',  # builds the small graphs that the backends are tested with
    'onnxruntime>=1.20',
    'pin-pink>=4.4,<5',  # its barriers, to compare ours with
]
DEV = [
    *TEST,
    'build>=1.2',
    'colcon-common-extensions>=0.3,<0.4',
    'mypy>=2.4,<3',
    'ruff>=0.17,<0.18',
    'setuptools>=68,<80',  # colcon calls `setup.py install`
    'wheel>=0.43',
]


def tree(folder: str) -> list[tuple[str, list[str]]]:
    """Return the files below a folder as data files, folder by folder."""
    files: dict[str, list[str]] = {}
    for path in sorted(Path(folder).rglob('*')):
        if path.is_file() and not path.name.startswith('.'):
            files.setdefault(f'{SHARE}/{path.parent.as_posix()}', []).append(path.as_posix())
    return list(files.items())


class BuildWithCommit(build_py):
    """Build the package with a file `commit.txt`: what `evaluation/host.py` calls its version."""

    def run(self) -> None:
        """Copy the modules, then write the commit of a git checkout; elsewhere nothing."""
        super().run()
        described = ['git', 'describe', '--always', '--dirty', '--abbrev=12']
        try:
            commit = subprocess.run(described, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return
        self._commit_file.write_text(commit, encoding='utf-8')

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return what was written, for the installer's record."""
        outputs = super().get_outputs(include_bytecode)
        return [*outputs, *([str(self._commit_file)] if self._commit_file.exists() else [])]

    @property
    def _commit_file(self) -> Path:
        return Path(self.build_lib, NAME, 'commit.txt')


setup(
    cmdclass={'build_py': BuildWithCommit},
    name=NAME,
    version='0.1.0',
    description='A diffusion planner drives a real robot in real time, safely (ROS 2)',
    long_description=(Path(__file__).resolve().parent / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    author='diffusion_control maintainers',
    author_email='maintainers@users.noreply.r-seed-23c46eed.example',
    python_requires='>=3.11',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (SHARE, ['package.xml']),
        # pip ignores install_scripts, and ros2 run looks nowhere else
        (f'lib/{NAME}', [f'scripts/{script}' for script in (NAME, *NODES)]),
        (f'{SHARE}/launch', sorted(glob('launch/*.launch.py'))),
        *tree('config'),
        *tree('models'),
    ],
    zip_safe=False,
    install_requires=[
        'daqp>=0.11,<0.12',
        'example-robot-data>=6.0,<7',
        'matplotlib>=3.9',
        'mcap>=1.3',
        'mcap-ros2-support>=0.6,<0.7',
        'numba>=0.68,<0.69',
        'numpy>=2.0',
        'ompl>=2.0.1,<3',
        'osqp>=1.1,<2',
        'pin>=4.1,<5',
        'psutil>=5.9',
        'pyyaml>=6.0',
        'rich>=13',
        'ruckig>=0.19,<0.20',
        'scipy>=1.14',
        'toppra>=0.6.10,<0.7',
        'typer>=0.12',
    ],
    extras_require={
        'ros': ROS,
        'sim': SIM,
        'cpu': ['onnxruntime>=1.20', 'onnx>=1.17'],
        'gpu': ['onnxruntime-gpu>=1.20'],
        'tensorrt': ['tensorrt>=10'],
        'train': TRAIN,
        'view': ['viser>=1.1,<2'],
        'test': TEST,
        'dev': DEV,
    },
    entry_points={
        'console_scripts': [
            f'{NAME} = {NAME}.cli:main',
            *(f'{node} = {NAME}.nodes.executables:{node}' for node in NODES),
        ],
    },
)
