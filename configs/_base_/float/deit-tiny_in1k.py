_base_ = 'mmpretrain::deit/deit-tiny_4xb256_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of the papers are those of facebookresearch/deit
# (deit_tiny_patch16_224), not mmpretrain's own training. Convert them with
# tools/model_converters/vit_to_mmpretrain.py.
load_from = 'checkpoints/deit-tiny_3rdparty_in1k.pth'
