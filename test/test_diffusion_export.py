# SPDX-License-Identifier: Apache-2.0
"""Exported graphs against eager torch: any sampler, any length, stepwise or whole."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
ort = pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')

from diffusion_control.diffusion import sampling  # noqa: E402
from diffusion_control.diffusion.conditioning import (  # noqa: E402
    ConditionEncoder,
    ConditionSpec,
)
from diffusion_control.diffusion.costs import SphereObstacles  # noqa: E402
from diffusion_control.diffusion.denoisers import bind, make_denoiser  # noqa: E402
from diffusion_control.diffusion.export import (  # noqa: E402
    export_encoder,
    export_sampler,
    export_step,
)
from diffusion_control.diffusion.graph_step import SamplerStep, StepSpec  # noqa: E402
from diffusion_control.diffusion.guidance import (  # noqa: E402
    ClipGuide,
    CostGuide,
    capped,
    classifier_free,
)
from diffusion_control.diffusion.inpainting import Known  # noqa: E402
from diffusion_control.diffusion.prediction import Prediction  # noqa: E402
from diffusion_control.diffusion.samplers import SAMPLERS, make_sampler  # noqa: E402
from diffusion_control.diffusion.scan import scan_over_rows  # noqa: E402
from diffusion_control.diffusion.schedules import make_schedule  # noqa: E402
from diffusion_control.diffusion.table import ALPHA, SIGMA, tabulate  # noqa: E402
from diffusion_control.diffusion.value import ValueNetwork, value_gradient  # noqa: E402
from diffusion_control.errors import ConfigurationError  # noqa: E402

pytestmark = pytest.mark.filterwarnings('ignore')
H, D, C = 8, 3, 8
TOLERANCE = 1e-5
FULL = StepSpec(
    H, D, C, classifier_free=True, costs=('velocity', 'acceleration', 'goal', 'limits', 'spheres'),
    value=True, repeats=2, obstacles=4, coordinates=2)
PLAIN = StepSpec(H, D, C, clean_input=True)
NETWORKS: dict[str, dict[str, Any]] = {
    'mixer': {'width': 16, 'depth': 1}, 'transformer': {'width': 16, 'depth': 1, 'patch': 2},
    'temporal_unet': {'width': 8, 'factors': (1, 2)}, 'film_unet': {'width': 8, 'factors': (1, 2)}}


class Exported:
    """A step, and its whole run in ONNX Runtime."""

    def __init__(self, name: str, spec: StepSpec) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.value = ValueNetwork(H, D, C, 16) if spec.value else None
        self.step = SamplerStep(
            make_denoiser(name, H, D, C, **NETWORKS[name]), spec, self.value)
        self.model = export_sampler(self.step, {'name': name})
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.options = options
        self.session = self.load(options)

    def load(self, options: Any) -> Any:
        return ort.InferenceSession(
            self.model.SerializeToString(), options, providers=['CPUExecutionProvider'])

    def run(self, rows: Any, fresh: Any, given: dict[str, Any]) -> list[Any]:
        inputs = {key: value for key, value in given.items() if key not in ('row', 'noise')}
        found: list[Any] = self.session.run(None, {
            **inputs, 'table': rows.astype(np.float32), 'fresh_noise': fresh})
        return found


@pytest.fixture(scope='module')
def full() -> Exported:
    return Exported('mixer', FULL)


def inputs(spec: StepSpec, batch: int, table: Any, seed: int = 0) -> tuple[dict[str, Any], Any]:
    """Return inputs of a run as float32, and the fresh noise of each evaluation."""
    given = {key: value.numpy() for key, value in spec.example(batch, seed).items()}
    generator = np.random.default_rng(seed)
    given['mask'] = np.zeros((batch, H, D), np.float32)
    given['mask'][:, :2] = 1.0
    for name in ('guidance_cap', 'guidance_strength', 'sphere_radius', 'cost_weights'):
        if name in given:
            given[name] = np.abs(given[name])
    given['clip_bound'] = np.full(1, 1.5, np.float32)
    noise = generator.normal(size=(batch, H, D)).astype(np.float32)
    state = sampling.begin(
        np.float32(table.rows[0, ALPHA]), np.float32(table.rows[0, SIGMA]), noise,
        known=Known(given['mask'], given['known']))
    given |= {'x': state.x, 'base': state.base, 'clean': state.clean, 'start_noise': noise}
    fresh = generator.normal(size=(table.evaluations, batch, H, D)).astype(np.float32)
    return given, fresh


def eager(exported: Exported, table: Any, given: dict[str, Any], fresh: Any) -> list[Any]:
    """Return the clean estimates of the loop in torch, put together from its parts."""
    told = {key: torch.as_tensor(value) for key, value in given.items()}
    known = Known(told['mask'], told['known'], exported.step.spec.clean_input)
    def with_(key: str) -> Any:
        return bind(exported.step.denoiser, told[key])
    denoise, guide = with_('condition'), None
    if exported.step.spec.classifier_free:
        denoise = classifier_free(denoise, with_('null_condition'), told['guidance_scale'])
        costs = exported.step._costs(told)
        def gradient(clean: Any) -> Any:
            total = sum(
                w * cost.gradient(clean)
                for w, cost in zip(told['cost_weights'], costs, strict=True))
            return total + told['value_weight'] * value_gradient(
                exported.value, clean, told['value_condition'])
        guide = CostGuide(gradient, told['guidance_strength'], told['guidance_cap'], known, 2)
    guide = ClipGuide(1.5, guide)
    with torch.no_grad():
        return [estimate.clean.numpy() for estimate in sampling.run(
            denoise, table, told['start_noise'], fresh=torch.as_tensor(fresh), guide=guide,
            known=known)]


def without_extras(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != 'start_noise'}


@pytest.mark.parametrize('name', NETWORKS)
def test_every_denoiser_exports(name: str) -> None:
    exported = Exported(name, PLAIN)
    table = tabulate(make_sampler('ddim'), make_schedule('flow'), Prediction('flow'), 5)
    for batch in (1, 6):
        given, fresh = inputs(PLAIN, batch, table)
        found = exported.run(table.rows, fresh, without_extras(given))
        expected = eager(exported, table, given, fresh)
        assert np.abs(np.stack(expected) - found[3]).max() < TOLERANCE
        assert np.abs(found[0] - expected[-1]).max() < TOLERANCE
        assert np.abs(found[0][:, :2] - given['known'][:, :2]).max() <= 1e-6


@pytest.mark.parametrize(('name', 'evaluations', 'batch'), [
    *((name, 6, 2) for name in SAMPLERS), ('heun', 1, 1), ('ddim', 10, 16)])
def test_one_file_runs_every_sampler(
    full: Exported, name: str, evaluations: int, batch: int
) -> None:
    """With all guidance on, after each evaluation, to 1e-5."""
    table = tabulate(
        make_sampler(name), make_schedule('cosine'), Prediction('v_prediction'), evaluations)
    given, fresh = inputs(FULL, batch, table, seed=evaluations)
    found = full.run(table.rows, fresh, without_extras(given))
    expected = eager(full, table, given, fresh)
    assert np.abs(np.stack(expected) - found[3]).max() < TOLERANCE
    assert np.array_equal(found[2], found[3][-1])
    assert np.abs(found[3][:, :, :2] - given['known'][:, :2]).max() <= 1e-6


def test_every_input_matters(full: Exported) -> None:
    table = tabulate(make_sampler('heun'), make_schedule('flow'), Prediction('flow'), 4)
    table = type(table)(table.rows[:3])  # in the middle of a step, where the base counts
    given, fresh = inputs(FULL, 3, table)
    given['clean'] = given['clean'] + 1.0
    rows = table.rows.copy()
    rows[0] = table.rows[2]
    rows[:, 7] = 0.1  # fresh noise
    found = full.run(rows, fresh, without_extras(given))[0]
    for name in full.step.spec.shapes:
        if name in ('row', 'noise'):
            continue
        changed = {**without_extras(given), name: 0.7 * given[name] + 0.1}
        assert np.abs(full.run(rows, fresh, changed)[0] - found).max() > 1e-5, name
    assert np.abs(full.run(rows, 0.7 * fresh, without_extras(given))[0] - found).max() > 1e-5


def test_stepwise_is_the_whole_run_bit_for_bit(full: Exported) -> None:
    """One row at a time, state in and state out; and the same again at every repetition."""
    table = tabulate(make_sampler('heun'), make_schedule('linear'), Prediction('epsilon'), 7)
    given, fresh = inputs(FULL, 4, table, seed=3)
    given = without_extras(given)
    whole = full.run(table.rows, fresh, given)
    again = full.run(table.rows, fresh, given)
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    state = {name: given[name] for name in ('x', 'base', 'clean')}
    for i in range(table.evaluations):
        x, base, clean, estimates = full.run(
            table.rows[i:i + 1], fresh[i:i + 1], {**given, **state})
        state = {'x': x, 'base': base, 'clean': clean}
        assert np.array_equal(estimates[0], whole[3][i])
    assert np.array_equal(state['x'], whole[0])


def test_a_runtime_may_fix_the_batch(full: Exported) -> None:
    table = tabulate(make_sampler('euler'), make_schedule('flow'), Prediction('flow'), 3)
    given, fresh = inputs(FULL, 4, table)
    free = full.run(table.rows, fresh, without_extras(given))[0]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_free_dimension_override_by_name('batch', 4)
    session = full.load(options)
    assert session.get_inputs()[0].shape == [4, H, D]
    told = {key: value for key, value in without_extras(given).items()
            if key not in ('row', 'noise')}
    found = session.run(['x_out'], {
        **told, 'table': table.rows.astype(np.float32), 'fresh_noise': fresh})[0]
    assert np.abs(found - free).max() < TOLERANCE


def test_guidance_scale_zero_hears_no_condition(full: Exported) -> None:
    table = tabulate(make_sampler('ddim'), make_schedule('flow'), Prediction('flow'), 4)
    given, fresh = inputs(FULL, 2, table)
    given = without_extras(given)
    other = {**given, 'condition': -given['condition']}
    def apart(scale: float) -> float:
        told = {'guidance_scale': np.full(1, scale, np.float32)}
        first, second = (full.run(table.rows, fresh, {**g, **told})[0] for g in (given, other))
        return float(np.abs(first - second).max())
    assert apart(0.0) == 0.0 and apart(1.0) > 1e-3


def test_files_say_what_they_are_and_not_where_they_were_made(full: Exported) -> None:
    (entry,) = full.model.metadata_props
    about = json.loads(entry.value)
    assert entry.key == 'diffusion_control'
    assert (about['kind'], about['name'], about['horizon']) == ('sampler', 'mixer', H)
    assert about['columns'][0] == 'time' and len(about['columns']) == 13
    text = full.model.SerializeToString()
    assert b'.py' not in text and b'/tmp' not in text and b'site-packages' not in text
    (scan,) = full.model.graph.node
    assert scan.op_type == 'Scan' and not full.model.functions
    assert all(value.data_location == onnx.TensorProto.DEFAULT
               for value in full.model.graph.initializer)


def test_encoder_is_a_graph_of_its_own() -> None:
    torch.manual_seed(0)
    spec = ConditionSpec(state=6, goal=3, target_return=1, obstacle=4)
    encoder = ConditionEncoder(spec, C)
    session = ort.InferenceSession(
        export_encoder(encoder).SerializeToString(), providers=['CPUExecutionProvider'])
    assert [value.name for value in session.get_inputs()] == [
        'state', 'goal', 'target_return', 'obstacles', 'obstacle_mask']
    for batch, obstacles in ((1, 1), (4, 9)):
        given = {'state': torch.randn(batch, 6), 'goal': torch.randn(batch, 3),
                 'target_return': torch.randn(batch, 1),
                 'obstacles': torch.randn(batch, obstacles, 4),
                 'obstacle_mask': (torch.rand(batch, obstacles) > 0.4).float()}
        with torch.no_grad():
            expected = encoder(given).numpy(), encoder.without(given).numpy()
        found = session.run(
            ['condition', 'null_condition'], {key: value.numpy() for key, value in given.items()})
        for mine, theirs in zip(found, expected, strict=True):
            assert np.abs(mine - theirs).max() < 1e-6
    lean = export_encoder(ConditionEncoder(ConditionSpec(state=6), C))
    assert [value.name for value in lean.graph.output] == ['condition']


class FixedBatch(torch.nn.Module):
    """A network that only ever reads three motions."""

    def forward(self, x: Any, time: Any, condition: Any) -> Any:
        return x.reshape(3, H, D) * time + condition.sum()


def test_one_evaluation_as_a_file(full: Exported) -> None:
    """For runtimes without Scan, and for guidance by a kernel outside of the graph."""
    exported = Exported('mixer', PLAIN)
    model = export_step(exported.step)
    session = ort.InferenceSession(
        model.SerializeToString(), exported.options, providers=['CPUExecutionProvider'])
    assert json.loads(model.metadata_props[0].value)['kind'] == 'step'
    assert [value.name for value in session.get_outputs()] == ['x_out', 'base_out', 'clean_out']
    table = tabulate(make_sampler('heun'), make_schedule('flow'), Prediction('flow'), 5)
    given, fresh = inputs(PLAIN, 3, table)
    told = {key: value for key, value in without_extras(given).items()}
    whole = exported.run(table.rows, fresh, told)
    known = Known(given['mask'], given['known'], clean_input=True)
    guide = CostGuide(lambda x: x - 0.3, 0.5, 1.0, known)
    for amend in (False, True):
        state = sampling.State(given['x'], given['base'], given['clean'])
        for row, noise in zip(table.rows, fresh, strict=True):
            told |= {'x': state.x, 'base': state.base, 'clean': state.clean,
                     'row': row.astype(np.float32), 'noise': noise}
            state = sampling.State(*session.run(None, told))
            if amend:
                state = sampling.amended(
                    state, row.tolist(), known.held(guide(state.clean, 1.0)))
        if not amend:
            assert np.abs(state.x - whole[0]).max() < TOLERANCE
    condition = torch.as_tensor(given['condition'])
    def torch_guide(clean: Any, factor: Any) -> Any:
        return torch.as_tensor(guide(clean.clip(-1.5, 1.5).numpy(), factor))
    held = Known(torch.as_tensor(given['mask']), torch.as_tensor(given['known']), True)
    with torch.no_grad():
        expected = sampling.sample(
            bind(exported.step.denoiser, condition), table,
            torch.as_tensor(given['start_noise']), guide=torch_guide, known=held)
    assert np.abs(state.x - expected.numpy()).max() < TOLERANCE
    assert np.abs(state.x - whole[0]).max() > 0.05


def test_what_cannot_be_exported_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='free batch'):
        export_sampler(SamplerStep(FixedBatch(), PLAIN))
    with pytest.raises(ConfigurationError, match='promised'):
        SamplerStep(make_denoiser('mixer', H, D, C), FULL)
    with pytest.raises(ConfigurationError, match='Unknown cost'):
        StepSpec(H, D, C, costs=('energy',))
    model = onnx.helper.make_model(onnx.helper.make_graph([], 'empty', [], []))
    with pytest.raises(ConfigurationError, match='step of a sampler'):
        scan_over_rows(model)


class Slope(torch.nn.Module):  # type: ignore[misc]
    """The capped slope of the cost of spheres."""

    def forward(self, x: Any, centre: Any, radius: Any) -> Any:
        cost = SphereObstacles(centre, radius, torch.eye(D)[:, :2], torch.zeros(2))
        return capped(cost.gradient(x), 1.0)


def test_the_slope_at_a_centre_is_finite_in_the_graph_too() -> None:
    """Torch's exporter takes an addend below 1e-8 for 0, so none may guard a division."""
    x = torch.zeros(2, H, D)
    x[1] += 5.0
    given = (x, torch.zeros(1, H, 1, 2), torch.ones(1, 1, 1))
    program = torch.onnx.export(Slope(), given, dynamo=True, opset_version=18)
    session = ort.InferenceSession(
        program.model_proto.SerializeToString(), providers=['CPUExecutionProvider'])
    (found,) = session.run(None, dict(zip(
        (value.name for value in session.get_inputs()), (each.numpy() for each in given),
        strict=True)))
    np.testing.assert_array_equal(found, Slope()(*given).numpy())
    np.testing.assert_array_equal(found, 0.0)
