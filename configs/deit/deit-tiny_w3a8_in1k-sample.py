_base_ = [
    './deit-tiny_in1k-sample.py', '../_base_/quantization/w3a8.py',
    '../_base_/candidates/tables.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    reconstruction=dict(epochs=4),
    # The images have their own pipelines here, see deit-tiny_in1k-sample.py.
    calibration=dict(dataloader={{_base_.train_dataloader}}))
