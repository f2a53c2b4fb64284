_base_ = 'mmpretrain::deit/deit-base_16xb64_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of facebookresearch/deit, as mmpretrain distributes them.
load_from = 'https://mmassets.onedl.ai/mmclassification/v0/deit/deit-base_3rdparty_pt-16xb64_in1k_20211124-6f40c188.pth'  # noqa
