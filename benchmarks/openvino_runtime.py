# SPDX-License-Identifier: Apache-2.0
"""Time the shipped arm model in OpenVINO beside ONNX Runtime, run by run in turn.

    pip install openvino onnx onnxruntime
    python benchmarks/openvino_runtime.py --repeats 60

OpenVINO (2026.4) does not open the graph as it is: it counts the values that a Scan's body takes
from outside as states of the Scan. Here they are made states, handed through unchanged, and
weights are moved into the body. One thread each; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numbers_given import positive
from onnx import helper, shape_inference

from diffusion_control.diffusion.scan import renamed

MODEL = Path(__file__).parents[1] / 'models' / 'diffuser_panda' / 'model.onnx'
STATES, OBSTACLES = 3, 3
CASES = ((5, 1), (5, 16), (2, 16))
"""Evaluations and candidates."""


def rewritten(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with a Scan whose body takes nothing from outside."""
    kinds = {value.name: value for value in (
        *model.graph.input, *shape_inference.infer_shapes(model).graph.value_info)}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    scan = next(node for node in model.graph.node if node.op_type == 'Scan')
    body = next(item for item in scan.attribute if item.name == 'body').g
    known = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    known |= {name for node in body.node for name in node.output}
    taken = dict.fromkeys(
        name for node in body.node for name in node.input if name and name not in known)
    body.initializer.extend(weights[name] for name in taken if name in weights)
    inputs, outputs, results = list(body.input), list(body.output), list(scan.output)
    carried = [name for name in taken if name not in weights]
    for name in carried:
        inside, after = (renamed(kinds[name], f'{word}_{name}') for word in ('carried', 'next'))
        inputs.insert(STATES, inside)
        outputs.insert(STATES, after)
        results.insert(STATES, f'unused_{name}')
        for node in body.node:
            node.input[:] = [inside.name if used == name else used for used in node.input]
        body.node.append(helper.make_node('Identity', [inside.name], [after.name]))
    scan.input[:] = [*scan.input[:STATES], *reversed(carried), *scan.input[STATES:]]
    scan.output[:] = results
    del body.input[:], body.output[:]
    body.input.extend(inputs)
    body.output.extend(outputs)
    onnx.checker.check_model(model)
    return model


def example(session: Any, evaluations: int, count: int) -> dict[str, Any]:
    """Return inputs of plausible size; what they say does not matter for the time."""
    random, given = np.random.default_rng(0), {}
    sizes = {'rows': evaluations, 'obstacles': OBSTACLES}
    for item in session.get_inputs():
        shape = [size if isinstance(size, int) else sizes.get(size, count) for size in item.shape]
        given[item.name] = (0.3 * random.standard_normal(shape)).astype(np.float32)
    given['mask'][:], given['obstacle_mask'][:], given['clip_bound'][:] = 0.0, 0.0, 3.0
    given['table'] = 0.1 + np.abs(given['table'])
    return given


def compare(session: Any, request: Any, given: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Return times of both in turn, and how far their answers are apart."""
    spent: list[list[float]] = [[], []]
    answer: Any = None
    for _ in range(repeats):
        begin = time.perf_counter()
        answer = session.run(['clean_out'], given)[0]
        middle = time.perf_counter()
        request.infer(given)
        spent[0].append(middle - begin)
        spent[1].append(time.perf_counter() - middle)
    other = request.get_tensor('clean_out').data
    usual, beside = (1e3 * np.percentile(times, [50, 99]) for times in spent)
    return {'onnxruntime_ms': usual.round(2).tolist(), 'openvino_ms': beside.round(2).tolist(),
            'ratio': round(float(beside[0] / usual[0]), 2),
            'largest_difference': float(np.abs(other - answer).max())}


def main() -> None:
    """Run and print one JSON object."""
    import onnxruntime
    import openvino
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=positive, default=60)
    options = parser.parse_args()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), settings, ['CPUExecutionProvider'])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'model.onnx'
        onnx.save(rewritten(onnx.load(MODEL)), file)
        compiled = openvino.Core().compile_model(str(file), 'CPU', {
            'INFERENCE_NUM_THREADS': 1, 'NUM_STREAMS': 1, 'INFERENCE_PRECISION_HINT': 'f32',
            'PERFORMANCE_HINT': 'LATENCY'})
    request = compiled.create_infer_request()
    print(json.dumps({
        'onnxruntime': onnxruntime.__version__, 'openvino': openvino.__version__,
        'rows': [{'evaluations': evaluations, 'candidates': count, **compare(
            session, request, example(session, evaluations, count), options.repeats)}
            for evaluations, count in CASES]}))


if __name__ == '__main__':
    main()
