# One epoch of AdamW on the integers of a quantized model. docs/training.md explains the
# fields. What a float config says of its own training is not used.
qat = dict(
    # Left out: 'logits' for classifiers and 'features' for detectors, neither of which
    # needs labels; 'labels' is the model's own loss.
    # loss=['labels', 'logits'],
    optim_wrapper=dict(
        type='OptimWrapper',
        # In proportion to the size of each parameter: 0.004 is 0.4 % in a step.
        constructor='iptq_mm.RelativeLearningRates',
        optimizer=dict(type='AdamW', lr=0.004, weight_decay=0.0),
        # A weight has to move by half a step until its integer changes; biases and
        # LayerNorms have 16 bits.
        paramwise_cfg=dict(others_lr_mult=0.125)),
    param_scheduler=[
        # Adam's first steps change all parameters at once.
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=10),
        dict(
            type='CosineAnnealingLR',
            by_epoch=True,
            T_max=1,
            convert_to_iter_based=True)
    ],
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1),
    # Iterations from one checkpoint to the next; a run that is killed loses no more.
    checkpoint=dict(interval=100, max_keep_ckpts=2))
