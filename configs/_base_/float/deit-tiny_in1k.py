_base_ = 'mmpretrain::deit/deit-tiny_4xb256_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of the papers are those of facebookresearch/deit
# (deit_tiny_patch16_224), not mmpretrain's own training:
# python tools/get_checkpoint.py deit-tiny_3rdparty_in1k
load_from = 'checkpoints/deit-tiny_3rdparty_in1k.pth'
