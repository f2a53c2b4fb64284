_base_ = 'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of microsoft/Swin-Transformer, as mmpretrain distributes them.
load_from = 'https://mmassets.onedl.ai/mmclassification/v0/swin-transformer/convert/swin_tiny_patch4_window7_224-160bb0a5.pth'  # noqa
