# SPDX-License-Identifier: Apache-2.0
"""Every sampler against the schedulers of Hugging Face diffusers, step for step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from diffusion_control.diffusion import sampling
from diffusion_control.diffusion.levels import Levels, at_times, select
from diffusion_control.diffusion.prediction import PREDICTIONS, Prediction
from diffusion_control.diffusion.samplers import SAMPLERS, make_sampler
from diffusion_control.diffusion.samplers.ancestral import Ancestral
from diffusion_control.diffusion.samplers.ddim import Ddim
from diffusion_control.diffusion.samplers.ddpm import Ddpm
from diffusion_control.diffusion.samplers.dpm_solver_pp_2m import DpmSolverPp2M
from diffusion_control.diffusion.samplers.euler import Euler
from diffusion_control.diffusion.samplers.heun import Heun
from diffusion_control.diffusion.schedules import SCHEDULES, make_schedule
from diffusion_control.diffusion.schedules.discrete import (
    DiscreteSchedule,
    cosine_schedule,
    linear_schedule,
)
from diffusion_control.diffusion.schedules.edm import EdmSchedule
from diffusion_control.diffusion.schedules.flow import FlowSchedule
from diffusion_control.diffusion.table import (
    ALPHA,
    C_IN,
    C_OUT,
    C_X,
    KEEP,
    SIGMA,
    TIME,
    A,
    B,
    C,
    D,
    E,
    Table,
    tabulate,
    tabulate_levels,
)
from diffusion_control.errors import ConfigurationError

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')

SHAPE = (3, 8, 2)
TOLERANCE = 2e-4  # diffusers keeps its tables in float32


@dataclass(frozen=True)
class Case:
    """A sampler of ours, and how diffusers runs the same."""

    sampler: Any
    theirs: str
    options: dict[str, Any]
    scaled: bool = False  # diffusers runs in x / alpha
    evaluations: int = 10
    step: Callable[[int], dict[str, Any]] = lambda i: {}


def torch_noise(i: int) -> Any:
    torch = pytest.importorskip('torch')
    generator = torch.Generator().manual_seed(100 + i)
    return torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def seeded(i: int) -> dict[str, Any]:
    torch = pytest.importorskip('torch')
    return {'generator': torch.Generator().manual_seed(100 + i)}


PLAIN = {'clip_sample': False, 'timestep_spacing': 'trailing'}
CASES = {
    'ddpm': Case(Ddpm(), 'DDPMScheduler', PLAIN, step=seeded),
    'ddpm_large': Case(  # 'leading', as diffusers adds noise to the result if it is not of step 0
        Ddpm('large'), 'DDPMScheduler', {**PLAIN, 'timestep_spacing': 'leading',
                                         'variance_type': 'fixed_large'}, step=seeded),
    'ddpm_leading': Case(
        Ddpm(), 'DDPMScheduler', {**PLAIN, 'timestep_spacing': 'leading'}, step=seeded),
    'ddim': Case(Ddim(), 'DDIMScheduler', PLAIN),
    'ddim_1': Case(Ddim(1.0), 'DDIMScheduler', PLAIN, step=lambda i: {
        'eta': 1.0, 'variance_noise': torch_noise(i)}),
    'dpm_solver_pp_2m': Case(
        DpmSolverPp2M(), 'DPMSolverMultistepScheduler',
        {'timestep_spacing': 'trailing', 'final_sigmas_type': 'zero'}),
    'dpm_solver_pp_2m_sde': Case(
        DpmSolverPp2M(stochastic=True), 'DPMSolverMultistepScheduler',
        {'timestep_spacing': 'trailing', 'final_sigmas_type': 'zero',
         'algorithm_type': 'sde-dpmsolver++'}, step=lambda i: {'variance_noise': torch_noise(i)}),
    'heun': Case(
        Heun(), 'HeunDiscreteScheduler', {'timestep_spacing': 'trailing'}, True, 11),
    'euler': Case(
        Euler(), 'EulerDiscreteScheduler', {'timestep_spacing': 'trailing'}, True),
    'ancestral': Case(
        Ancestral(), 'EulerAncestralDiscreteScheduler', {'timestep_spacing': 'trailing'}, True,
        step=seeded),
}
KINDS = ('epsilon', 'sample', 'v_prediction')
UNSUPPORTED = {  # by diffusers
    ('heun', 'sample'), ('euler', 'sample'), ('ancestral', 'sample')}


def network(x: Any, time: Any) -> Any:
    """Return something a network could say: bounded, nonlinear, changing with the time."""
    where = x.sin() if hasattr(x, 'sin') else np.sin(x)
    return 0.8 * where + 0.3 * x + 0.001 * (time - 400.0) / (1.0 + where * where)


def our_states(table: Table, noise: Any) -> list[Any]:
    """Return x after every move."""
    state = sampling.State(noise, noise, 0.0 * noise)
    found = []
    for i, row in enumerate(table.rows.tolist()):
        state = sampling.step(state, row, np.asarray(torch_noise(i)), network)
        found.append(state.x)
    return found


def their_run(case: Case, kind: str) -> tuple[list[Any], Any]:
    """Return x after every call of diffusers' step, and their scheduler."""
    diffusers = pytest.importorskip('diffusers')
    torch = pytest.importorskip('torch')
    scheduler = getattr(diffusers, case.theirs)(
        beta_start=1e-4, beta_end=0.02, beta_schedule='linear', num_train_timesteps=1000,
        prediction_type=kind, **case.options)
    scheduler.set_timesteps(Heun().points(case.evaluations) if case.theirs.startswith('Heun')
                            else case.evaluations)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).double()
    if case.scaled:
        x = x / scheduler.alphas_cumprod[int(scheduler.timesteps[0])].double().sqrt()
    found = []
    for i, time in enumerate(scheduler.timesteps):
        seen = scheduler.scale_model_input(x, time)
        x = scheduler.step(network(seen, float(time)), time, x, **case.step(i)).prev_sample
        found.append(x.numpy())
    return found, scheduler


def difference(case: Case, kind: str, change: Callable[[Table], Table] | None = None) -> float:
    """Return the largest difference of the states, ours less theirs, in x."""
    theirs, scheduler = their_run(case, kind)
    signal = scheduler.alphas_cumprod.double().numpy()
    spacing = case.options['timestep_spacing']
    table = tabulate(
        case.sampler, DiscreteSchedule('linear', signal, spacing), Prediction(kind),
        case.evaluations)
    times = [float(time) for time in scheduler.timesteps]
    assert table.rows[:, TIME].tolist() == times
    noise = np.asarray(pytest.importorskip('torch').randn(
        SHAPE, generator=pytest.importorskip('torch').Generator().manual_seed(1)).double())
    table = table if change is None else change(table)
    ours = our_states(table, noise)
    assert len(ours) == len(theirs)
    scales = [1.0] * len(ours)
    if case.scaled:
        after = [*times[1:], None]
        scales = [1.0 if time is None else float(np.sqrt(signal[int(time)])) for time in after]
    return max(float(np.abs(mine - scale * other).max())
               for mine, other, scale in zip(ours, theirs, scales, strict=True))


@pytest.mark.parametrize(('name', 'kind'), [
    (name, kind) for name in CASES for kind in KINDS if (name, kind) not in UNSUPPORTED])
def test_step_for_step_as_diffusers(name: str, kind: str) -> None:
    assert difference(CASES[name], kind) < TOLERANCE


def flip(column: int) -> Callable[[Table], Table]:
    """Break a table: another sign in the middle of the run."""
    def change(table: Table) -> Table:
        rows = table.rows.copy()
        rows[len(rows) // 2, column] *= -1.0
        rows[len(rows) // 2 + 1, column] *= -1.0
        return replace(table, rows=rows)
    return change


def late(columns: slice | int) -> Callable[[Table], Table]:
    """Break a table: these columns come one evaluation late."""
    def change(table: Table) -> Table:
        rows = table.rows.copy()
        rows[1:, columns] = table.rows[:-1, columns]
        return replace(table, rows=rows)
    return change


MUTANTS: dict[str, Callable[[Table], Table]] = {
    'sign of x': flip(A), 'sign of x0': flip(B), 'sign of x0 before': flip(C),
    'sign of the noise': flip(D), 'sign of the base': flip(E), 'sign of the output': flip(C_OUT),
    'sign of x in x0': flip(C_X), 'time late': late(TIME), 'reading late': late(slice(C_X, A)),
    'move late': late(slice(A, KEEP + 1)), 'base late': late(KEEP), 'input scale': flip(C_IN),
}


@pytest.mark.parametrize('name', CASES)
def test_broken_tables_are_noticed(name: str) -> None:
    """The oracle sees every sign and every off-by-one that changes the table at all."""
    case, noticed = CASES[name], []
    for mutant, change in MUTANTS.items():
        table = tabulate(case.sampler, linear_schedule(), Prediction('epsilon'), case.evaluations)
        unused = name != 'heun' and mutant == 'base late'  # the base has no weight there
        if np.array_equal(change(table).rows, table.rows) or unused:
            continue
        assert difference(case, 'epsilon', change) > 10 * TOLERANCE, mutant
        noticed.append(mutant)
    assert len(noticed) >= 7


@pytest.mark.parametrize(('ours', 'theirs'), [
    (linear_schedule(), 'linear'), (cosine_schedule(), 'squaredcos_cap_v2')])
def test_discrete_schedules_as_diffusers(ours: DiscreteSchedule, theirs: str) -> None:
    diffusers = pytest.importorskip('diffusers')
    known = diffusers.DDPMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule=theirs)
    assert np.allclose(ours.signal, known.alphas_cumprod.numpy(), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(('sampler', 'name'), [
    (Euler(), 'EDMEulerScheduler'), (DpmSolverPp2M(), 'EDMDPMSolverMultistepScheduler')])
def test_edm_as_diffusers(sampler: Any, name: str) -> None:
    """Their preconditioning reads ln(sigma) / 4, ours 1000 times that."""
    diffusers, torch = pytest.importorskip('diffusers'), pytest.importorskip('torch')
    scheduler = getattr(diffusers, name)(sigma_data=0.5)
    scheduler.set_timesteps(9)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).double()
    x, theirs = noise * scheduler.sigmas[0].double(), []
    for time in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, time)
        x = scheduler.step(network(seen, 1000.0 * float(time)), time, x).prev_sample
        theirs.append(x.numpy())
    table = tabulate(sampler, EdmSchedule(), Prediction('edm', 0.5), 9)
    assert table.sigma == pytest.approx(80.0)
    ours = our_states(table, table.sigma * noise.numpy())
    for mine, other in zip(ours, theirs, strict=True):
        assert np.abs(mine - other).max() < TOLERANCE * max(1.0, np.abs(other).max())


def flow_difference(sampler: Any, name: str, evaluations: int) -> float:
    """Return the largest difference of the states of a flow-matching run."""
    diffusers, torch = pytest.importorskip('diffusers'), pytest.importorskip('torch')
    scheduler = getattr(diffusers, name)(shift=1.0)
    scheduler.set_timesteps(6)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).double()
    times = np.array(sorted({float(time) for time in scheduler.timesteps}, reverse=True))
    levels = at_times(FlowSchedule(), times)
    table = tabulate_levels(sampler, levels, Prediction('flow'), evaluations)
    ours = our_states(table, x.numpy())
    worst = 0.0
    for time, mine in zip(scheduler.timesteps, ours, strict=True):
        x = scheduler.step(network(x, float(time)), time, x, return_dict=False)[0].double()
        worst = max(worst, float(np.abs(mine - x.numpy()).max()))
    return worst


@pytest.mark.parametrize(('sampler', 'name', 'evaluations'), [
    (Euler(), 'FlowMatchEulerDiscreteScheduler', 6),
    (Heun(), 'FlowMatchHeunDiscreteScheduler', 11)])
def test_flow_matching_as_diffusers(sampler: Any, name: str, evaluations: int) -> None:
    assert flow_difference(sampler, name, evaluations) < TOLERANCE


@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('kind', PREDICTIONS)
def test_every_prediction_reads_the_true_motion(schedule: str, kind: str) -> None:
    """A network that is right gives the clean motion back, whatever it predicts."""
    levels = select(make_schedule(schedule), 7, 0.9)
    generator = np.random.default_rng(3)
    x0, noise = generator.normal(size=(2, 1, 5))
    alpha, sigma = levels.alpha[:-1, None], levels.sigma[:-1, None]
    x, data = alpha * x0 + sigma * noise, 0.5
    s = sigma / alpha
    says = {
        'epsilon': noise + 0.0 * x, 'sample': x0 + 0.0 * x,
        'v_prediction': alpha * noise - sigma * x0, 'flow': noise - x0 + 0.0 * x,
        'edm': (x0 - data**2 / (s**2 + data**2) * (x0 + s * noise))
        * np.sqrt(s**2 + data**2) / (s * data)}[kind]
    reading = Prediction(kind, data).read(levels.alpha[:-1], levels.sigma[:-1])
    estimate = reading.c_x[:, None] * x + reading.c_out[:, None] * says
    assert np.allclose(estimate, np.broadcast_to(x0, x.shape), atol=1e-9)


def test_what_the_network_reads_by_hand() -> None:
    """c_in keeps x at the scale of the data, and only where noise makes it larger."""
    alpha, sigma = np.array([1.0, 0.5, 0.6]), np.array([np.sqrt(3.0), 0.5, 0.8])
    assert Prediction('sample').read(alpha, sigma).c_in == pytest.approx([0.5, 1.0, 1.0])
    edm = Prediction('edm', 0.5).read(np.array([0.5]), np.array([0.6]))  # s = 1.2, root = 1.3
    assert edm.c_in == pytest.approx([1.0 / 0.65])
    assert edm.c_x == pytest.approx([0.25 / (0.5 * 1.69)])
    assert edm.c_out == pytest.approx([1.2 * 0.5 / 1.3])


def test_three_names_of_one_step() -> None:
    """Euler, DDIM and ancestral sampling without noise are one; with noise DDPM joins."""
    for schedule in (linear_schedule(), EdmSchedule(), FlowSchedule()):
        def rows(sampler: Any, schedule: Any = schedule) -> Any:
            return tabulate(sampler, schedule, Prediction('sample'), 6).rows
        assert np.allclose(rows(Euler()), rows(Ddim()), atol=1e-12)
        assert np.allclose(rows(Euler()), rows(Ancestral(0.0)), atol=1e-12)
        assert np.allclose(rows(Ddpm()), rows(Ancestral()), atol=1e-9)


@pytest.mark.parametrize('name', SAMPLERS)
@pytest.mark.parametrize('evaluations', [1, 2, 3, 8])
@pytest.mark.parametrize('schedule', SCHEDULES)
def test_runs_of_any_length_end_at_the_clean_estimate(
    name: str, evaluations: int, schedule: str
) -> None:
    table = tabulate(
        make_sampler(name), make_schedule(schedule), Prediction('v_prediction'), evaluations)
    assert table.evaluations == evaluations
    assert table.rows[-1, A:KEEP].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert table.rows[-1, KEEP] == 0.0
    assert np.all(np.diff(table.rows[:, SIGMA]) <= 0.0)
    assert np.all(np.diff(table.rows[:, ALPHA]) >= 0.0)


@pytest.mark.parametrize('name', SCHEDULES)
@pytest.mark.parametrize('count', [1, 4])
def test_truncation_starts_late(name: str, count: int) -> None:
    schedule = make_schedule(name)
    full, half = select(schedule, count), select(schedule, count, 0.5)
    assert half.sigma[0] / max(half.alpha[0], 1e-9) < full.sigma[0] / max(full.alpha[0], 1e-9)
    assert half.time[0] < full.time[0]
    if name == 'flow':
        assert half.sigma[0] == 0.5
    if name == 'linear':
        assert half.time[0] == 499.0


def test_shifted_flow_starts_where_it_is_told() -> None:
    for start in (0.3, 1.0):
        levels = select(FlowSchedule(shift=3.0), 5, start)
        assert levels.sigma[0] == pytest.approx(start)
        assert levels.sigma[1] > select(FlowSchedule(), 5, start).sigma[1]


@pytest.mark.parametrize('make', [
    lambda: select(linear_schedule(), 0), lambda: select(linear_schedule(), 5, 0.0),
    lambda: select(linear_schedule(), 5, 1.1), lambda: select(linear_schedule(steps=4), 5),
    lambda: tabulate(Heun(), FlowSchedule(), Prediction('epsilon'), 4),
    lambda: tabulate(Heun(), FlowSchedule(), Prediction('flow'), 0),
    lambda: tabulate_levels(Euler(), select(FlowSchedule(), 4), Prediction('flow'), 5),
    lambda: at_times(linear_schedule(), np.array([10.5])),
    lambda: at_times(linear_schedule(), np.array([10.0, 20.0])),
    lambda: Levels(np.ones(2), np.ones(2), np.zeros(2), np.ones(2)),
    lambda: Table(np.zeros((0, 13))), lambda: Table(np.full((1, 13), np.nan)),
    lambda: Prediction('noise'), lambda: make_sampler('plms'), lambda: make_schedule('sigmoid'),
    lambda: linear_schedule(spacing='even'), lambda: Ddpm('learned'), lambda: Ddim(2.0),
    lambda: Ancestral(-1.0), lambda: EdmSchedule(sigma_min=0.0), lambda: FlowSchedule(shift=0.0)])
def test_bad_settings_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ConfigurationError):
        make()


def test_noise_must_be_given_to_those_who_draw_it() -> None:
    noise = np.zeros(SHAPE)
    table = tabulate(Ddpm(), linear_schedule(), Prediction(), 4)
    with pytest.raises(ConfigurationError, match='draws noise'):
        sampling.sample(network, table, noise, fresh=noise[None])
    assert np.isfinite(sampling.sample(network, table, noise, fresh=np.zeros((4, *SHAPE)))).all()


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_training_times_are_times_of_the_schedule(schedule: str) -> None:
    made = make_schedule(schedule)
    times = made.training_times(np.random.default_rng(0), 2000)
    alpha, sigma = made.scales(times)
    assert np.all(alpha >= 0.0) and np.all(sigma > 0.0) and len(np.unique(times)) > 700


def test_logit_normal_times_crowd_in_the_middle() -> None:
    times = FlowSchedule(logit_deviation=1.0).training_times(np.random.default_rng(0), 4000)
    uniform = FlowSchedule().training_times(np.random.default_rng(0), 4000)
    assert 400.0 < times.mean() < 600.0
    assert times.std() < 0.85 * uniform.std()
