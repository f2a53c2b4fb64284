"""The compiler: from an integer program to steps, of which commands are made.

:func:`compile_program` is the table of contents. Nodes are lowered in order. An
attention that :func:`match_attention` found becomes one step if possible
(:mod:`.fusion.attention`). Every other node is lowered in the first of four ways that
is possible:

1. it is fused into the product before it (:mod:`.fusion.epilogue`);
2. it only moves integers: its result is another view of the same buffer;
3. its kind has an emitter (:mod:`.kernels`), which adds steps;
4. the reference computes it (:mod:`.fallback`), and a reason is noted.

To see what comes of it, print the native program, or ``watch`` the stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.graph import Node, Program
from ...ir.moves import MOVES
from .compilation import Compilation
from .context import EMITTERS, EmitterContext, Unsupported
from .copying import as_torch
from .fallback import fallback
from .fusion.attention import emit_attention
from .fusion.attention_pattern import AttentionPattern, find_attention
from .fusion.epilogue import fuse
from .kernels import (  # noqa: F401  (they register emitters)
    convolution,
    elementwise,
    embedding,
    linear,
    matmul,
    normalization,
    reduction,
    softmax,
)
from .layout.memory import plan_memory
from .layout.steps import Step
from .layout.tensor_ref import TensorRef

#: Reads and extends a compilation.
Stage = Callable[[Compilation], None]


def compile_program(
    program: Program, watch: Callable[[str, Compilation], None] | None = None
) -> Compilation:
    """Compile a program.

    Args:
        program: The program.
        watch: Called after each stage with the stage's name and what there is so far;
            :func:`.dump.dump` makes text of it.

    Raises:
        Unsupported: If an input has more than 32 bits.
    """
    stages: list[Stage] = [
        match_attention,
        lower_nodes,
        finish_steps,
        place_buffers,
    ]
    compilation = Compilation(program)
    for stage in stages:
        stage(compilation)
        if watch is not None:
            watch(stage.__name__, compilation)
    return compilation


def match_attention(compilation: Compilation) -> None:
    """Find products and softmaxes that one command computes."""
    compilation.attention = find_attention(compilation.program, compilation.uses)


def lower_nodes(compilation: Compilation) -> None:
    """Make the steps of all nodes, with fusion, and the copies of the outputs."""
    context, program = compilation.context, compilation.program
    for port in program.inputs:
        value = program.values[port.value]
        place = TensorRef.new(context.storage(value), value.shape, pinned=True)
        compilation.inputs.append(place)
        context.refs[port.value] = place
    absorbed = {
        id(n) for pattern in compilation.attention.values() for n in pattern.nodes
    }
    for node in program.nodes:
        if id(node) in compilation.attention:
            _lower_attention(compilation, compilation.attention[id(node)])
        elif id(node) not in absorbed:
            _lower_node(compilation, node)
    context.node = None
    compilation.outputs = [
        as_torch(context, port.value, True) for port in program.outputs
    ]


def finish_steps(compilation: Compilation) -> None:
    """Pack weights and complete the fields, now that nothing changes any more."""
    for step in compilation.context.steps:
        if isinstance(step, Step):
            step.finish()


def place_buffers(compilation: Compilation) -> None:
    """Place all buffers in one arena; those that never live together share memory."""
    boundary = [ref.buffer for ref in (*compilation.inputs, *compilation.outputs)]
    compilation.offsets, compilation.size = plan_memory(
        compilation.context.steps, boundary
    )
    # Address maps can be large, and nobody needs them any more.
    compilation.context.refs.clear()


def _lower_attention(compilation: Compilation, pattern: AttentionPattern) -> None:
    """One step for all nodes of a pattern, or steps for each of them."""
    context = compilation.context
    context.node = pattern.result
    result = _attempt(
        context,
        pattern.nodes,
        lambda: emit_attention(context, pattern),
        lambda error: compilation.unfused.update([error.reason('attention')]),
    )
    if result is None:
        for node in pattern.nodes:
            _lower_node(compilation, node)
        return
    assert result.producer is not None
    result.producer.fused = list(pattern.nodes[:-1])
    _locate(compilation, pattern.result, result)


def _lower_node(compilation: Compilation, node: Node) -> None:
    context = compilation.context
    context.node = node
    result = _attempt(
        context,
        [node],
        lambda: fuse(context, node) or _emit(context, node),
        lambda error: compilation.fallbacks.update([error.reason(node.kind)]),
    )
    _locate(compilation, node, fallback(context, node) if result is None else result)


def _emit(context: EmitterContext, node: Node) -> TensorRef:
    """Lower a node by itself, as a move or by its emitter."""
    if node.kind in MOVES:
        return _move(context, node)
    if node.kind not in EMITTERS:
        raise Unsupported
    return EMITTERS[node.kind](context, node)


def _move(context: EmitterContext, node: Node) -> TensorRef:
    (operand,) = node.operands
    if isinstance(operand, str):
        raise Unsupported('a constant operand')
    index = {name: context.constant(node, name) for name in node.constants}
    return context.refs[operand].moved(node.kind, node.attributes, **index)


def _attempt(
    context: EmitterContext,
    nodes: Sequence[Node],
    lower: Callable[[], TensorRef],
    refused: Callable[[Unsupported], object],
) -> TensorRef | None:
    """Lower nodes, or leave everything as it was.

    Lowering may add steps, and may change the steps that produce its operands (see
    :class:`.layout.steps.Step`), before it finds out that there is no kernel. Then the
    steps before it are restored.

    Args:
        context: The context.
        nodes: The nodes.
        lower: Lowers them.
        refused: Called with the reason if there is no kernel.

    Returns:
        Where the result is; None if there is no kernel.
    """
    operands = {v for node in nodes for v in node.values if v in context.refs}
    producers = [context.refs[v].producer for v in operands]
    before = [(p, vars(p).copy(), dict(p.fields)) for p in producers if p is not None]
    steps = list(context.steps)
    try:
        return lower()
    except Unsupported as error:
        refused(error)
    context.steps = steps
    for step, attributes, fields in before:
        vars(step).update(attributes, fields=fields)
    return None


def _locate(compilation: Compilation, node: Node, result: TensorRef) -> None:
    """Note where a result is; its step may be changed by a single consumer only."""
    if compilation.uses[node.output] != 1:
        result = replace(result, producer=None)
    compilation.context.refs[node.output] = result
