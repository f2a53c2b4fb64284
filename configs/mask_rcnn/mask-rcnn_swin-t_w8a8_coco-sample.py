# mmdet's own Mask R-CNN with Swin-T, on the images of
# cascade-mask-rcnn_swin-t_coco-sample.py: any other detector with a supported backbone
# is quantized by a config like this.
_base_ = [
    'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    '../_base_/quantization/w8a8.py', '../_base_/candidates/tables.py'
]
custom_imports = dict(imports=['iptq_mm'], allow_failed_imports=False)

data_root = '{{$IPTQ_MM_DATA:../shared}}/data/tiny_coco/'
load_from = None
random_weights = True

# The pretrained backbone would be downloaded.
model = dict(backbone=dict(init_cfg=None))

test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'instances'))
]
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(
    dataset=dict(data_root=data_root, indices=10, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None)
test_evaluator = val_evaluator

quantization = dict(
    regions=['backbone'],
    # Images of different sizes are padded to each other in a batch; padding must
    # not enter the ranges.
    calibration=dict(num_images=8, batch_size=1))
