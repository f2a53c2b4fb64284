# One epoch for a model whose blocks have learned already: small steps towards the float
# outputs of the regions. Larger ones, or the classes alone, lose on held-out images.
_base_ = ['./one_epoch.py']

qat = dict(
    loss='features',
    optim_wrapper=dict(
        optimizer=dict(lr=0.0005), paramwise_cfg=dict(others_lr_mult=1.0)))
