_base_ = 'mmpretrain::vision_transformer/vit-base-p16_64xb64_in1k.py'
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

# The weights of the papers are those of timm (vit_base_patch16_224, augreg,
# fine-tuned on ImageNet-1k), which mmpretrain does not have:
# python tools/get_checkpoint.py vit-base-p16_timm-augreg_in1k
load_from = 'checkpoints/vit-base-p16_timm-augreg_in1k.pth'

# timm's model ends in one linear layer and has another normalization.
model = dict(backbone=dict(drop_rate=0.), head=dict(hidden_dim=None))
data_preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])

# timm crops 90 % of the shorter side: 224 of 248.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='ResizeEdge',
        scale=248,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
