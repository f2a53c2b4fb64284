_base_ = [
    '../../../../deit/deit-tiny_in1k-sample.py',
    '../../../../_base_/papers/mixed_w4a8.py',
    '../../../../_base_/candidates/mixed_literal.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    calibration=dict(dataloader={{_base_.train_dataloader}}))
