# The detector of cascade-mask-rcnn_swin-t_coco.py on a few images of COCO that lie in
# the folder that the environment variable IPTQ_MM_DATA names. It has random weights
# unless a checkpoint is given: it shows that everything runs, and how fast.
_base_ = '../float/cascade-mask-rcnn_swin-t_coco.py'

load_from = None

data_root = '{{$IPTQ_MM_DATA:../shared}}/data/tiny_coco/'

# The annotations go with the images, so that the metric counts the images that
# were evaluated and no others (see ann_file=None below).
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

# Without a checkpoint the weights are random: that shows that everything runs and
# how close the integers are to the floats, not what the detector detects.
random_weights = True
