_base_ = [
    '../../../../_base_/float_sample/swin-tiny_in1k-sample.py',
    '../../../../_base_/papers/mixed_w4a8.py',
    '../../../../_base_/candidates/mixed_literal_swin.py'
]

quantization = dict(
    regions=['backbone', 'neck', 'head'],
    wide=dict(attention=8),
    calibration=dict(dataloader={{_base_.train_dataloader}}))
