# The functions of I-BERT as published, with 8-bit inputs, which lose nearly everything
# until the model is trained: python tools/train.py. The images need no labels.
_base_ = ['./deit-tiny_w8a8_in1k-sample.py', '../_base_/qat/one_epoch.py']
quantization = dict(
    # Before training, the model is worse than its linear layers explain.
    on_mismatch='warn',
    activation=dict(guard_images=0),
    wide=dict(gelu=8, softmax=8),
    # Ranges that suit the functions.
    calibration=dict(function_ranges='site'),
    # Another GELU asks for other weights, not for another rounding of the same ones.
    reconstruction=dict(epochs=4, rate=1.0, wide_rate=0.006))
candidates = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)])
# So many epochs on 500 images want different views of them.
qat = dict(
    loss='features',
    train_dataloader=dict(
        dataset=dict(pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResizedCrop',
                scale=224,
                crop_ratio_range=(0.35, 1.0),
                backend='pillow',
                interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs')
        ])),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=10),
        dict(
            type='CosineAnnealingLR',
            by_epoch=True,
            T_max=12,
            convert_to_iter_based=True)
    ],
    train_cfg=dict(max_epochs=12, val_interval=3))
