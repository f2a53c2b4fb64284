# swin_cascade.py on COCO test-dev: images without annotations, results for the
# evaluation server. tools/submit.py takes the images of this config (--data) and writes
# the zip files. mm's own test tools write test-dev.bbox.json and test-dev.segm.json.
_base_ = './swin_cascade.py'

data_root = 'data/coco/'
ann_file = 'annotations/image_info_test-dev2017.json'

test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file=ann_file,
        data_prefix=dict(img='test2017/')))
test_evaluator = dict(
    ann_file=data_root + ann_file,
    metric=['bbox', 'segm'],
    format_only=True,
    outfile_prefix='work_dirs/swin_cascade_test-dev/test-dev')
