"""Models of single nodes, and the values in them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from iptq_mm.engine.runtimes.adapters import RUNTIMES
from iptq_mm.engine.runtimes.adapters.reference import evaluator
from iptq_mm.engine.runtimes.lone_nodes import all_values, write_lone_nodes
from iptq_mm.engine.runtimes.trial import tried


def model(nodes, inputs, outputs, constants):
    graph = helper.make_graph(
        nodes,
        'model',
        [helper.make_tensor_value_info(*x) for x in inputs],
        [helper.make_tensor_value_info(*y) for y in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=8
    )
    onnx.checker.check_model(made, full_check=True)
    return made


@pytest.fixture(scope='module')
def twice():
    """Adds 1, then 1000, to int32, and makes int64 of it."""
    return model(
        [
            helper.make_node('Add', ['x', 'one'], ['p']),
            helper.make_node('Add', ['p', 'thousand'], ['q']),
            helper.make_node('Cast', ['q'], ['y'], to=TensorProto.INT64),
        ],
        [('x', TensorProto.INT32, [3])],
        [('y', TensorProto.INT64, [3])],
        dict(one=np.int32(1), thousand=np.int32(1000)),
    )


def test_all_values(twice):
    found = all_values(twice, dict(x=np.array([-5, 0, 5], np.int32)))
    assert found['p'].tolist() == [-4, 1, 6]
    assert found['y'].tolist() == [996, 1001, 1006] and found['y'].dtype == np.int64
    assert found['thousand'] == 1000
    assert len(twice.graph.output) == 1


def test_one_model_a_kind_with_the_largest_numbers(twice, tmp_path):
    feeds = dict(x=np.array([-5, 0, 5], np.int32))
    cases = write_lone_nodes(twice, feeds, tmp_path)
    assert [c.label for c in cases] == ['Add of int32', 'Cast of int32 to int64']
    add = onnx.load(cases[0].path)
    onnx.checker.check_model(add, full_check=True)
    (constant,) = add.graph.initializer
    assert numpy_helper.to_array(constant) == 1000
    known = np.load(cases[0].known)
    assert known['input_0'].tolist() == [-4, 1, 6]
    assert known['output_0'].tolist() == [996, 1001, 1006]
    for case in cases:
        for name in ('ONNX Runtime', "onnx's reference evaluator"):
            assert tried(RUNTIMES[name](), case.path, case.known) == {'kind': 'exact'}


def test_an_input_that_a_node_takes_twice(tmp_path):
    square = model(
        [helper.make_node('Mul', ['x', 'x'], ['y'])],
        [('x', TensorProto.INT32, [2])],
        [('y', TensorProto.INT32, [2])],
        {},
    )
    (case,) = write_lone_nodes(square, dict(x=np.array([3, -4], np.int32)), tmp_path)
    assert sorted(np.load(case.known)) == ['input_0', 'output_0']
    assert tried(RUNTIMES['ONNX Runtime'](), case.path, case.known)['kind'] == 'exact'


def test_tables_of_any_length():
    """The evaluator of onnx alone has no more than 63 entries."""
    table = np.arange(1000, dtype=np.int32) ** 2
    gather = model(
        [helper.make_node('GatherElements', ['table', 'x'], ['y'], axis=0)],
        [('x', TensorProto.INT32, [4])],
        [('y', TensorProto.INT32, [4])],
        dict(table=table),
    )
    x = np.array([0, 63, 999, -1], np.int32)
    (made,) = evaluator(gather).run(None, dict(x=x))
    assert made.tolist() == table[x].tolist()
    with pytest.raises(ValueError):
        onnx.reference.ReferenceEvaluator(gather).run(None, dict(x=x))
