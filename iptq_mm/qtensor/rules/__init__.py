"""The rule catalogue: what each torch function does to quantized tensors.

Read it file by file:

============== ==========================================================
products       linear layers, convolutions, matrix products
attention      fused attention
einsum         as matrix products
arithmetic     ``+``, ``-``, ``*``, ``/`` and powers, also in place
reductions     means, sums, norms, maxima
activations    ReLU, GELU, Softmax
unary          other elementwise functions
normalization  LayerNorm, RMSNorm, group norm, batch norm, L2 normalization
assignment     ``x[index] = y``
movement       views, gathers, concatenation, padding, unfolding
pooling        averages and maxima of windows
resampling     interpolation
given          token ids and masks: embeddings, hidden scores
metadata       questions about shape and type; no-ops
============== ==========================================================

Importing the package fills the table (:mod:`.table`), which :mod:`.dispatch` looks up.
A torch function without a rule is an error that names it, never a silent float.
"""

from . import (  # noqa: F401  (they fill the table)
    activations,
    arithmetic,
    assignment,
    attention,
    dispatch,
    einsum,
    given,
    metadata,
    movement,
    normalization,
    pooling,
    products,
    reductions,
    resampling,
    unary,
)
