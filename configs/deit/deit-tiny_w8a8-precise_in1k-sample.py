_base_ = [
    './deit-tiny_in1k-sample.py', '../_base_/quantization/w8a8_precise.py',
    '../_base_/candidates/tables.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    # The images have their own pipelines here, see deit-tiny_in1k-sample.py.
    calibration=dict(dataloader={{_base_.train_dataloader}}))
