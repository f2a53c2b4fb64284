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
        optimizer=dict(type='AdamW', lr=0.004, weight_decay=0.0)),
    param_scheduler=[
        dict(
            type='CosineAnnealingLR',
            by_epoch=True,
            T_max=1,
            convert_to_iter_based=True)
    ],
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1),
    # Iterations from one checkpoint to the next; a run that is killed loses no more.
    checkpoint=dict(interval=100, max_keep_ckpts=2))
