"""The models of other libraries in ``tools/survey.py``, and how they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

#: A model, and keyword arguments or images that it is called with.
Made = tuple[nn.Module, Any]

_VIT = dict(img_size=64, depth=2)

#: Models of timm: name -> (options, size of the images). Few blocks, small images.
TIMM: dict[str, tuple[dict[str, Any], int]] = {
    'vit_tiny_patch16_224': (_VIT, 64),
    'deit_tiny_distilled_patch16_224': (_VIT, 64),
    'deit3_small_patch16_224': (_VIT, 64),
    'beit_base_patch16_224': ({**_VIT, 'embed_dim': 96, 'num_heads': 3}, 64),
    'eva02_tiny_patch14_224': (dict(img_size=56, depth=2), 56),
    'vit_tiny_patch16_dinov3_qkvb': (_VIT, 64),
    'vit_base_patch16_siglip_224': ({**_VIT, 'embed_dim': 96, 'num_heads': 3}, 64),
    'cait_xxs24_224': (_VIT, 64),
    'xcit_nano_12_p16_224': (_VIT, 64),
    'convit_tiny': (dict(img_size=64, depth=4, local_up_to_layer=2), 64),
    'tnt_s_legacy_patch16_224': (_VIT, 64),
    'crossvit_tiny_240': (dict(img_size=120, depth=[[1, 2, 0], [1, 2, 0]]), 120),
    'mixer_s32_224': (dict(img_size=64), 64),
    'swin_tiny_patch4_window7_224': (dict(img_size=56, depths=(2, 2)), 56),
    'swinv2_tiny_window8_256': (dict(img_size=64, depths=(2, 2)), 64),
    'davit_tiny': (dict(depths=(1, 1), embed_dims=(32, 64), num_heads=(1, 2)), 56),
    'twins_svt_small': (dict(img_size=64), 64),
    'twins_pcpvt_small': (dict(img_size=64), 64),
    'pvt_v2_b0': ({}, 64),
    'mvitv2_tiny': (dict(img_size=64), 64),
    'hiera_tiny_224': (dict(img_size=64), 64),
    'gcvit_xxtiny': (dict(img_size=64), 64),
    'maxvit_pico_rw_256': (dict(img_size=64), 64),
    'coat_lite_tiny': (dict(img_size=64), 64),
    'levit_128s': ({}, 224),
    'mobilevit_xxs': ({}, 64),
    'edgenext_xx_small': ({}, 64),
    'efficientformer_l1': ({}, 224),
    'efficientvit_b0': ({}, 64),
    'fastvit_t8': ({}, 64),
}


def made_by_timm(name: str) -> Made:
    """A classifier of timm with random weights, and a few images."""
    import timm

    options, size = TIMM[name]
    model = with_spread_weights(timm.create_model(name, num_classes=10, **options))
    return model, smooth_images(_BATCH if size < 200 else 2, 3, size, size)


_TEXT = dict(
    hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128
)
_IMAGE = {**_TEXT, 'image_size': 64, 'patch_size': 16}

#: Models of transformers: name -> (class, config class, its options).
HUGGING_FACE: dict[str, tuple[str, str, dict[str, Any]]] = {
    'ViT': ('ViTForImageClassification', 'ViTConfig', _IMAGE),
    'DeiT': ('DeiTForImageClassificationWithTeacher', 'DeiTConfig', _IMAGE),
    'BEiT': (
        'BeitForImageClassification',
        'BeitConfig',
        {**_IMAGE, 'use_relative_position_bias': True},
    ),
    'Swin': (
        'SwinForImageClassification',
        'SwinConfig',
        dict(
            image_size=64, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4
        ),
    ),
    'DINOv2': ('Dinov2ForImageClassification', 'Dinov2Config', _IMAGE),
    'SegFormer': (
        'SegformerForSemanticSegmentation',
        'SegformerConfig',
        dict(depths=[1, 1, 1, 1], decoder_hidden_size=64),
    ),
    'CLIP': (
        'CLIPModel',
        'CLIPConfig',
        dict(
            text_config=dict(**_TEXT, vocab_size=1000, eos_token_id=999),
            vision_config=_IMAGE,
            projection_dim=32,
        ),
    ),
    'SigLIP': (
        'SiglipModel',
        'SiglipConfig',
        dict(text_config=dict(**_TEXT, vocab_size=1000), vision_config=_IMAGE),
    ),
    'BERT': (
        'BertForSequenceClassification',
        'BertConfig',
        dict(**_TEXT, vocab_size=1000),
    ),
    'DistilBERT': (
        'DistilBertForSequenceClassification',
        'DistilBertConfig',
        dict(dim=64, n_layers=2, n_heads=2, hidden_dim=128, vocab_size=1000),
    ),
    'GPT-2': (
        'GPT2LMHeadModel',
        'GPT2Config',
        dict(n_embd=64, n_layer=2, n_head=2, vocab_size=1000, use_cache=False),
    ),
}
#: Models that have several regions. CLIP looks for the last token of a text by reading
#: its numbers, which no program does.
REGIONS = {
    'CLIP': (
        'vision_model',
        'visual_projection',
        'text_model.embeddings',
        'text_model.encoder',
        'text_model.final_layer_norm',
        'text_projection',
    ),
}
#: Samples, and tokens of each.
_BATCH, _TOKENS = 4, 12


def made_by_transformers(name: str) -> Made:
    """A model of Hugging Face with random weights, and a batch."""
    import transformers

    kind, config, options = HUGGING_FACE[name]
    made = getattr(transformers, config)(**options)
    if 'text_config' not in options:
        made.num_labels = 10
    model = getattr(transformers, kind)(made)
    batch: dict[str, Tensor] = {}
    if model.main_input_name == 'pixel_values' or 'vision_config' in options:
        batch['pixel_values'] = smooth_images(_BATCH, 3, 64, 64)
    if 'pixel_values' not in batch or 'text_config' in options:
        ids = torch.randint(3, 999, (_BATCH, _TOKENS))
        ids[:, -1] = 999
        mask = torch.ones_like(ids)
        mask[1, 8:] = 0
        batch |= {'input_ids': ids, 'attention_mask': mask}
    return with_spread_weights(model), batch


def with_spread_weights(model: nn.Module) -> nn.Module:
    """A model in evaluation mode whose attention is not flat."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    model.eval()  # some return None, and some derive from parameters
    return model


def smooth_images(*shape: int) -> Tensor:
    """Smooth random images with a little noise."""
    coarse = torch.randn(*shape[:2], 7, 7)
    images = nn.functional.interpolate(coarse, shape[2:], mode='bicubic')
    return images + 0.3 * torch.randn(shape)


#: By library: the names of the models, and what makes one.
ZOO: dict[str, tuple[Mapping[str, Any], Callable[[str], Made]]] = {
    'timm': (TIMM, made_by_timm),
    'transformers': (HUGGING_FACE, made_by_transformers),
}
