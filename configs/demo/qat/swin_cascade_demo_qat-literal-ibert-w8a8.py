# The functions of I-BERT as published, which lose much until the model is trained for
# an epoch: python tools/train.py. The images need no labels.
_base_ = [
    '../swin_cascade_demo_literal-ibert-w8a8.py',
    '../../_base_/qat/one_epoch.py'
]
quantization = dict(
    # Before training, the model is worse than its linear layers explain.
    on_mismatch='warn',
    # Ranges that suit the functions.
    calibration=dict(function_ranges='site'))
qat = dict(
    loss='features',
    # The float training draws from the images without end; this is an epoch.
    train_dataloader=dict(
        sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True)))
