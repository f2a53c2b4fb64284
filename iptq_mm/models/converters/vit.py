"""ViT and DeiT of timm and facebookresearch/deit, for mmpretrain."""

import math
import re

from .checkpoint import ConversionError, State, refuse, require

_WHAT = 'a ViT or DeiT of timm'

#: Names there and names here, in the order in which they are tried.
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'(cls_token|dist_token|pos_embed)', r'backbone.\1'),
        (r'patch_embed\.proj\.(weight|bias)', r'backbone.patch_embed.projection.\1'),
        (r'blocks\.(\d+)\.norm1\.(weight|bias)', r'backbone.layers.\1.ln1.\2'),
        (r'blocks\.(\d+)\.norm2\.(weight|bias)', r'backbone.layers.\1.ln2.\2'),
        (
            r'blocks\.(\d+)\.attn\.(qkv|proj)\.(weight|bias)',
            r'backbone.layers.\1.attn.\2.\3',
        ),
        (
            r'blocks\.(\d+)\.mlp\.fc1\.(weight|bias)',
            r'backbone.layers.\1.ffn.layers.0.0.\2',
        ),
        (
            r'blocks\.(\d+)\.mlp\.fc2\.(weight|bias)',
            r'backbone.layers.\1.ffn.layers.1.\2',
        ),
        (
            r'blocks\.(\d+)\.(?:ls1\.gamma|gamma_1)',
            r'backbone.layers.\1.attn.gamma1.weight',
        ),
        (
            r'blocks\.(\d+)\.(?:ls2\.gamma|gamma_2)',
            r'backbone.layers.\1.ffn.gamma2.weight',
        ),
        (r'norm\.(weight|bias)', r'backbone.ln1.\1'),
        (r'pre_logits\.fc\.(weight|bias)', r'head.layers.pre_logits.\1'),
        (r'(head|head_dist)\.(weight|bias)', r'head.layers.\1.\2'),
    )
]


def convert_vit(state: State) -> State:
    """Rename the parameters of a classifier.

    The result fits an ``ImageClassifier`` with the backbone
    ``VisionTransformer`` and the head ``VisionTransformerClsHead``, or with
    ``DistilledVisionTransformer`` and ``DeiTClsHead`` if it has a distillation
    token. Normalization of the images is not part of a checkpoint: timm's ViTs
    were trained with mean and standard deviation 127.5, its DeiTs with those of
    ImageNet.

    Args:
        state (dict[str, torch.Tensor]): The parameters under timm's names.

    Returns:
        dict[str, torch.Tensor]: The same tensors under mmpretrain's names.

    Raises:
        ConversionError: If it is another model, or already converted.
    """
    if 'backbone.patch_embed.projection.weight' in state:
        raise ConversionError(
            'The checkpoint already has the names of mmpretrain: use it as it is.'
        )
    require(state, ('cls_token', 'pos_embed', 'patch_embed.proj.weight'), _WHAT)
    if any(key.startswith('fc_norm.') for key in state):
        raise ConversionError(
            'This model averages its patches and normalizes afterwards (fc_norm); '
            'the head of mmpretrain takes the class token. Only models with '
            "timm's global_pool='token' can be converted."
        )
    if 'head.weight' not in state:
        raise ConversionError(
            'The checkpoint has no classifier (head.weight): take one that was '
            'trained or fine-tuned for classification.'
        )
    if ('dist_token' in state) != ('head_dist.weight' in state):
        raise ConversionError(
            'A distilled DeiT has a distillation token and a second classifier '
            '(dist_token and head_dist.weight); this checkpoint has one of the two.'
        )
    _check_positions(state)
    names = {key: _rename(key) for key in state}
    refuse((key for key, name in names.items() if name is None), _WHAT)
    return {name: state[key] for key, name in names.items() if name is not None}


def _rename(key: str) -> str | None:
    for pattern, replacement in _RULES:
        if match := pattern.fullmatch(key):
            return match.expand(replacement)
    return None


def _check_positions(state: State) -> None:
    """The position embedding must cover the extra tokens, as mmpretrain's does."""
    extra = 2 if 'dist_token' in state else 1
    positions = state['pos_embed'].shape[1]
    if math.isqrt(positions - extra) ** 2 != positions - extra:
        raise ConversionError(
            f'The position embedding has {positions} positions, which is not a '
            f'square of patches and {extra} extra: models that embed the patches '
            'only (DeiT III, timm with no_embed_class) need another backbone.'
        )
