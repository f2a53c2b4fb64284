_base_ = [
    '../../../../deit/deit-tiny_in1k-sample.py',
    '../../../../_base_/papers/iptq_w8a8.py',
    '../../../../_base_/candidates/iptq_literal.py'
]

quantization = dict(
    regions=['backbone', 'head'],
    calibration=dict(dataloader={{_base_.train_dataloader}}))
