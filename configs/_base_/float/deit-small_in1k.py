_base_ = 'mmpretrain::deit/deit-small_4xb256_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of the papers are those of facebookresearch/deit
# (deit_small_patch16_224), not mmpretrain's own training:
# python tools/get_checkpoint.py deit-small_3rdparty_in1k
load_from = 'checkpoints/deit-small_3rdparty_in1k.pth'
