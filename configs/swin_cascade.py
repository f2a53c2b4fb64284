# Cascade Mask R-CNN with Swin-T by its short name.
_base_ = './cascade_mask_rcnn/cascade-mask-rcnn_swin-t_w8a8_coco.py'
