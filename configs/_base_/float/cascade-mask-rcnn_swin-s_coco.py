_base_ = './cascade-mask-rcnn_swin-t_coco.py'

# cascade_mask_rcnn_swin_small_patch4_window7.pth, converted likewise.
load_from = 'checkpoints/cascade_mask_rcnn_swin_small_patch4_window7_mmdet.pth'

model = dict(backbone=dict(depths=[2, 2, 18, 2]))
