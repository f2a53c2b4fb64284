_base_ = 'mmpretrain::swin_transformer/swin-small_16xb64_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of microsoft/Swin-Transformer, as mmpretrain distributes them.
load_from = 'https://mmassets.onedl.ai/mmclassification/v0/swin-transformer/convert/swin_small_patch4_window7_224-cc7a01c9.pth'  # noqa
