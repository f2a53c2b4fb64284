"""Rules of attention: fused functions become their sites.

Each of the sites (product, mask, Softmax, product) needs a scale of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import SMALLER_REGION, unsupported
from ..hiding import hide
from ..mode import Mode
from ..tensor import QTensor
from .activations import softmax
from .arithmetic import add
from .operands import Operand
from .products import linear, matmul
from .reductions import mean
from .table import TAKES_GIVEN, rule

#: What is added to a score that Softmax shall not see.
_HIDDEN = -1e4

TAKES_GIVEN.update({F.scaled_dot_product_attention, F.multi_head_attention_forward})


@rule(F.scaled_dot_product_attention, computes=True)
def _attention(
    mode: Mode,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Operand = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> QTensor:
    if dropout_p:
        raise unsupported(
            'attention with dropout has no rule',
            f'call model.eval(), or {SMALLER_REGION}',
        )
    if not isinstance(query, QTensor) or not isinstance(key, QTensor):
        raise unsupported(
            'attention has queries or keys that are neither parameters nor computed '
            'from the input of the region'
        )
    if enable_gqa:
        times = query.payload.shape[-3] // key.payload.shape[-3]
        key, value = (x.repeat_interleave(times, -3) for x in (key, value))
    scale = query.payload.shape[-1] ** -0.5 if scale is None else scale
    query = query.scaled(scale)
    return _attended(mode, query, key, value, [attn_mask], is_causal)[0]


def _attended(
    mode: Mode,
    query: QTensor,
    key: QTensor,
    value: QTensor,
    masks: Sequence[Any],
    is_causal: bool = False,
) -> tuple[QTensor, QTensor]:
    """What is attended to, and the probabilities.

    Of given booleans, True is seen; all other masks are added.
    """
    scores = matmul(mode, query, key.transpose(-2, -1))
    if is_causal:
        queries, keys = scores.payload.shape[-2:]
        scores = hide(scores, _later(queries, keys, scores.payload.device))
    for mask in masks:
        if isinstance(mask, QTensor) and mask.given is not None:
            unseen: Any = ~mask
            scores = hide(scores, unseen.payload)
        elif mask is not None:
            scores = add(mode, scores, _addend(mask))
    probabilities = softmax(mode, scores, -1)
    return matmul(mode, probabilities, value), probabilities


def _later(queries: int, keys: int, device: torch.device) -> Tensor:
    """The keys that each query of a causal attention must not see, booleans."""
    seen = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return ~seen.tril()


def _addend(mask: Any) -> Any:
    """A mask as what is added to the scores."""
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        zeros = torch.zeros(mask.shape, device=mask.device)
        return zeros.masked_fill(~mask, _HIDDEN)
    return mask


# The layers of queries, keys and values are one layer, whose weight is one parameter.
# In cross attention it is applied to both inputs; parts of the results are dropped.
@rule(F.multi_head_attention_forward, computes=True)
def _multi_head_attention(
    mode: Mode,
    query: QTensor,
    key: QTensor,
    value: QTensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Operand,
    in_proj_bias: Operand,
    bias_k: Operand,
    bias_v: Operand,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Operand,
    out_proj_bias: Operand,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Operand = None,
    k_proj_weight: Operand = None,
    v_proj_weight: Operand = None,
    static_k: Operand = None,
    static_v: Operand = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[QTensor, QTensor | None]:
    if bias_k is not None or add_zero_attn or static_k is not None or training:
        raise unsupported(
            'multi-head attention in training, with biases of keys, zeros or static '
            'keys has no rule',
            f'call model.eval(), or {SMALLER_REGION}',
        )
    if use_separate_proj_weight:
        weights = q_proj_weight, k_proj_weight, v_proj_weight
        biases = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        inputs = zip((query, key, value), weights, biases, strict=True)
        q, k, v = (linear(mode, *given) for given in inputs)
    else:
        made: dict[int, Any] = {}
        for x in (query, key, value):
            if id(x) not in made:
                projected: Any = linear(mode, x, in_proj_weight, in_proj_bias)
                made[id(x)] = projected.chunk(3, -1)
        q, k, v = (made[id(x)][i] for i, x in enumerate((query, key, value)))

    unbatched = q.payload.dim() == 2
    if unbatched:
        q, k, v = (x.unsqueeze(1) for x in (q, k, v))
    batch, dims = q.payload.shape[1], q.payload.shape[2]

    def heads(x: QTensor) -> QTensor:
        """Shape (length, batch, dims) to (batch, heads, length, dims of a head)."""
        return x.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3)

    masks = _masks_of_heads(attn_mask, key_padding_mask, batch, num_heads)
    q, k, v = map(heads, (q, k, v))
    seen: Any
    attended, seen = _attended(mode, q.scaled((dims // num_heads) ** -0.5), k, v, masks)
    joined: Any = attended.permute(2, 0, 1, 3).flatten(-2)
    result: Any = linear(mode, joined, out_proj_weight, out_proj_bias)
    if unbatched:
        result = result.squeeze(1)
    if not need_weights:
        return result, None
    if average_attn_weights:
        seen = mean(mode, seen, 1)
    return result, seen.squeeze(0) if unbatched else seen


def _masks_of_heads(attn_mask: Any, padding: Any, batch: int, heads: int) -> list[Any]:
    """Both masks of torch, such that they fit (batch, heads, queries, keys).

    In torch, True in these masks hides. Two that do not come from the input of the
    region are one.
    """

    def shown(mask: Any) -> Any:
        """With True where a key is seen, or what is added."""
        return ~mask if mask.dtype == torch.bool else mask

    found = []
    if attn_mask is not None:
        mask = shown(attn_mask)
        if mask.dim() == 3:
            mask = mask.view(batch, heads, *mask.shape[1:])
        found.append(mask)
    if padding is not None:
        found.append(shown(padding).view(batch, 1, 1, -1))
    if len(found) == 2 and not any(isinstance(mask, QTensor) for mask in found):
        first, second = map(_addend, found)
        return [first + second]
    return found
