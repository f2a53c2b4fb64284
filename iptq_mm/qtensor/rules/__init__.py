"""The rule catalogue: what each torch function does to quantized tensors.

Read it file by file:

============== ==========================================================
products       linear layers, convolutions, matrix products, attention
arithmetic     ``+``, ``-``, ``*`` and ``/``, also in place; means
activations    ReLU, GELU, Softmax
normalization  LayerNorm, batch norm
movement       views, gathers, concatenation, padding, unfolding
resampling     nearest interpolation, strided pooling
given          token ids and masks: embeddings, hidden scores
metadata       questions about shape and type; no-ops
============== ==========================================================

Importing the package fills the table (:mod:`.table`), which :mod:`.dispatch` looks up.
A torch function without a rule is an error that names it, never a silent float.
"""

from . import (  # noqa: F401  (they fill the table)
    activations,
    arithmetic,
    dispatch,
    given,
    metadata,
    movement,
    normalization,
    products,
    resampling,
)
