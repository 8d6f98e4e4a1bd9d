# SPDX-License-Identifier: Apache-2.0
"""The fixed-rate loop in simulated time, and the scheduler it asks for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from diffusion_control.doctor.host import fifo_permitted
from diffusion_control.nodes import loop as loop_module
from diffusion_control.nodes.loop import PeriodicLoop
from diffusion_control.nodes.real_time import RealTimeOptions, apply_to_thread

PERIOD_S = 0.01


class FakeTime:
    """A clock that only work and sleep move."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Bench:
    """Ticks that take the given times, one after the other, and then stop the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, works_s: list[float]) -> None:
        self.clock = FakeTime()
        monkeypatch.setattr(
            loop_module, 'time',
            SimpleNamespace(monotonic=self.clock.monotonic, sleep=self.clock.sleep))
        self.works_s = list(works_s)
        self.begun_s: list[float] = []
        self.sent_s: list[float] = []
        self.errors: list[Exception] = []
        self.send_after_s: float | None = None
        self.done = threading.Event()
        self.loop = PeriodicLoop(PERIOD_S, self.tick, self.errors.append)

    def tick(self) -> None:
        self.begun_s.append(self.clock.now_s - 100.0)
        work_s = self.works_s.pop(0)
        if not self.works_s:
            self.loop.stop()
            self.done.set()
        if work_s < 0:
            raise ValueError('tick')
        self.clock.sleep(work_s)
        if self.send_after_s is not None:
            self.loop.wait_until(self.send_after_s)
        self.sent_s.append(self.clock.now_s - 100.0)

    def run(self) -> Bench:
        self.loop.start()
        assert self.done.wait(30.0)
        self.loop.stop()
        return self


def test_ticks_begin_at_absolute_deadlines(monkeypatch):
    bench = Bench(monkeypatch, [0.002, 0.009, 0.001, 0.004]).run()
    assert bench.begun_s == pytest.approx([0.0, 0.01, 0.02, 0.03])


def test_a_late_tick_runs_at_once_and_a_long_overrun_is_skipped_and_counted(monkeypatch):
    bench = Bench(monkeypatch, [0.013, 0.001, 0.035, 0.001, 0.001]).run()
    assert bench.begun_s == pytest.approx([0.0, 0.013, 0.02, 0.055, 0.06])
    assert bench.loop.statistics().missed == 2


def test_what_a_tick_sends_leaves_at_the_same_phase_however_long_the_work_took(monkeypatch):
    bench = Bench(monkeypatch, [0.001, 0.0029, 0.0, 0.002])
    bench.send_after_s = 0.003
    bench.run()
    assert bench.sent_s == pytest.approx([0.003, 0.013, 0.023, 0.033])
    assert bench.loop.statistics().execution_max_s == pytest.approx(0.0029), 'work, not sleep'


def test_a_tick_behind_its_slot_sends_at_once(monkeypatch):
    bench = Bench(monkeypatch, [0.001, 0.007, 0.013, 0.001])
    bench.send_after_s = 0.003
    bench.run()
    assert bench.sent_s == pytest.approx([0.003, 0.017, 0.033, 0.034])


def test_an_error_is_handed_over_and_the_loop_goes_on(monkeypatch):
    bench = Bench(monkeypatch, [0.001, -1.0, 0.001]).run()
    assert [str(error) for error in bench.errors] == ['tick']
    assert bench.begun_s == pytest.approx([0.0, 0.01, 0.02])


def test_a_priority_that_is_not_permitted_is_one_warning(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError('Operation not permitted')
    monkeypatch.setattr(os, 'sched_setscheduler', refuse)
    warnings: list[str] = []
    apply_to_thread(RealTimeOptions(fifo_priority=50), warnings.append)
    assert len(warnings) == 1 and 'fifo_priority' in warnings[0] and 'limits.d' in warnings[0]
    assert not fifo_permitted(50)
    apply_to_thread(RealTimeOptions(), warnings.append)
    assert len(warnings) == 1, 'nothing was asked for'


@pytest.mark.skipif(not fifo_permitted(50), reason='SCHED_FIFO is not permitted here')
def test_main_and_receiving_threads_are_raised_with_the_control_thread():
    """Else they keep it waiting: for the interpreter's lock, or for what was sent to it."""
    script = """
import os, pathlib, threading
from diffusion_control.nodes.real_time import RealTimeOptions, apply_to_process, apply_to_thread
end = threading.Event()
for name in ('other', 'dds.udp.7412', 'dds.ev.0'):
    thread = threading.Thread(target=end.wait)
    thread.start()
    pathlib.Path(f'/proc/self/task/{thread.native_id}/comm').write_text(name)
options = RealTimeOptions(fifo_priority=50, freeze_gc=False)
apply_to_process(options, print)
control = threading.Thread(
    target=lambda: (apply_to_thread(options, print), print(os.sched_getparam(0).sched_priority)))
control.start()
control.join()
print(*[os.sched_getparam(thread.native_id).sched_priority for thread in threading.enumerate()])
end.set()
"""
    done = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ['50', '49', '0', '51', '0'], (
        'control, main, other, receives, middleware')


def test_asking_whether_a_priority_is_permitted_leaves_this_thread_alone():
    before = os.sched_getscheduler(0)
    fifo_permitted(50)
    assert os.sched_getscheduler(0) == before
