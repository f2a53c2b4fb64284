"""Random weights of small models under the names that public files have.

And a development kit like that of ImageNet.
"""

import re

import numpy as np
import torch
from scipy.io import savemat

#: mmpretrain's names and timm's.
_TIMM = (
    (r'backbone\.patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'backbone\.layers\.(\d+)\.ln([12])\.', r'blocks.\1.norm\2.'),
    (r'backbone\.layers\.(\d+)\.attn\.', r'blocks.\1.attn.'),
    (r'backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.', r'blocks.\1.mlp.fc1.'),
    (r'backbone\.layers\.(\d+)\.ffn\.layers\.1\.', r'blocks.\1.mlp.fc2.'),
    (r'backbone\.ln1\.', 'norm.'),
    (r'head\.layers\.head\.', 'head.'),
    (r'backbone\.(cls_token|pos_embed)', r'\1'),
)


def timm_names(state):
    """A ViT of mmpretrain as timm would save it."""
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in _TIMM:
            name, count = re.subn(f'^{pattern}', replacement, name)
            if count:
                break
        renamed[name] = value
    return renamed


def swin_backbone(width, depths, heads, window):
    """Random parameters under the names of Swin's own backbone."""
    shapes = {
        'patch_embed.proj.weight': (width, 3, 4, 4),
        'patch_embed.proj.bias': (width,),
        'patch_embed.norm.weight': (width,),
        'patch_embed.norm.bias': (width,),
    }
    for i, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        w = width * 2**i
        for j in range(depth):
            block = f'layers.{i}.blocks.{j}'
            table = ((2 * window - 1) ** 2, count)
            shapes |= {
                f'{block}.norm1.weight': (w,),
                f'{block}.norm1.bias': (w,),
                f'{block}.attn.relative_position_bias_table': table,
                f'{block}.attn.qkv.weight': (3 * w, w),
                f'{block}.attn.qkv.bias': (3 * w,),
                f'{block}.attn.proj.weight': (w, w),
                f'{block}.attn.proj.bias': (w,),
                f'{block}.norm2.weight': (w,),
                f'{block}.norm2.bias': (w,),
                f'{block}.mlp.fc1.weight': (4 * w, w),
                f'{block}.mlp.fc1.bias': (4 * w,),
                f'{block}.mlp.fc2.weight': (w, 4 * w),
                f'{block}.mlp.fc2.bias': (w,),
            }
        if i < 3:
            shapes |= {
                f'layers.{i}.downsample.reduction.weight': (2 * w, 4 * w),
                f'layers.{i}.downsample.norm.weight': (4 * w,),
                f'layers.{i}.downsample.norm.bias': (4 * w,),
            }
        shapes |= {f'norm{i}.weight': (w,), f'norm{i}.bias': (w,)}
    generator = torch.Generator().manual_seed(0)
    state = {
        f'backbone.{key}': torch.randn(shape, generator=generator) * 0.1
        for key, shape in shapes.items()
    }
    for i, depth in enumerate(depths):
        for j in range(depth):
            key = f'backbone.layers.{i}.blocks.{j}.attn.relative_position_index'
            state[key] = relative_position_index(window)
    return state


def relative_position_index(window):
    """The index as Swin's own code makes it."""
    ys, xs = torch.meshgrid(torch.arange(window), torch.arange(window), indexing='ij')
    ys, xs = ys.flatten(), xs.flatten()
    dy = ys[:, None] - ys[None, :] + window - 1
    dx = xs[:, None] - xs[None, :] + window - 1
    return dy * (2 * window - 1) + dx


def write_devkit(folder, wnids, inner=()):
    """A folder like ImageNet's development kit.

    Args:
        folder: It is made.
        wnids: WordNet IDs of the classes, in the order of ``ILSVRC2012_ID``.
        inner: Those of nodes above them, which are no classes.
    """
    names = ('ILSVRC2012_ID', 'WNID', 'words', 'num_children')
    every = [*wnids, *inner]
    synsets = np.zeros((len(every), 1), dtype=[(name, object) for name in names])
    for i, wnid in enumerate(every):
        children = 0 if i < len(wnids) else len(wnids)
        synsets[i, 0] = (float(i + 1), wnid, f'class {i}', float(children))
    (folder / 'data').mkdir(parents=True)
    savemat(folder / 'data/meta.mat', {'synsets': synsets})
