_base_ = './vit-base_in1k.py'

# timm's vit_small_patch16_224. What mmpretrain calls 'small' is another model
# (768 wide, 8 layers); DeiT-S has the dimensions of everybody else's ViT-S.
load_from = 'checkpoints/vit-small-p16_timm-augreg_in1k.pth'

model = dict(backbone=dict(arch='deit-small'), head=dict(in_channels=384))
