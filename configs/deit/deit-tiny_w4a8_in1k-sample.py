_base_ = [
    './deit-tiny_in1k-sample.py', '../_base_/quantization/w4a8.py',
    '../_base_/candidates/tables.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    # 500 images are few: blocks learn from each as it is and mirrored, twice instead of
    # four times.
    reconstruction=dict(epochs=2),
    # The images have their own pipelines here, see deit-tiny_in1k-sample.py.
    calibration=dict(mirrored=True, dataloader={{_base_.train_dataloader}}))
