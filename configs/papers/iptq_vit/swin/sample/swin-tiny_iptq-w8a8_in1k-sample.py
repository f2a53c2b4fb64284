_base_ = [
    '../../../../_base_/float_sample/swin-tiny_in1k-sample.py',
    '../../../../_base_/papers/iptq_w8a8.py',
    '../../../../_base_/candidates/iptq_literal_swin.py'
]

quantization = dict(
    regions=['backbone', 'neck', 'head'],
    wide=dict(attention=8),
    calibration=dict(dataloader={{_base_.train_dataloader}}))
