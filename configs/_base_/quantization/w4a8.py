# Weights of 4 bits, activations of 8. See w8a8.py for the fields.
quantization = dict(
    regions=[],
    # With 16 levels it pays to clip: DeiT-Tiny agrees with float on 88.6 % of the
    # images of its sample config instead of 85.7 % with minmax. At 8 and 6 bits it
    # makes no difference beyond noise.
    weight=dict(
        bits=4, observer=dict(type='mse'), rounding=dict(type='nearest')),
    activation=dict(
        bits=8, observer=dict(type='percentile', percentile=99.999)),
    # The residual stream, attention scores and attention probabilities.
    wide=dict(bits=16, observer=dict(type='minmax')),
    criterion=dict(type='unified_metric'),
    # The train dataset of the config with its test pipeline, unless there is a
    # `dataloader=dict(...)` here. (Left out, not None: a child config could not
    # replace None by a dict.)
    calibration=dict(num_images=128, batch_size=8))
