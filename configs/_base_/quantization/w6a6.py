# Weights and activations of 6 bits. See w8a8.py for the fields.
quantization = dict(
    regions=[],
    # Where a region gets the normalized image, it takes the pixels themselves: exact.
    pixels=True,
    equalization=[dict(type='layer_norm'), dict(type='attention')],
    weight=dict(
        bits=6, observer=dict(type='minmax'), rounding=dict(type='second_order'),
        bias_correction=True),
    # With 64 levels it pays to clip more than with 256.
    activation=dict(
        bits=6, observer=dict(type='percentile', percentile=99.99)),
    # The residual stream, attention scores and attention probabilities.
    wide=dict(bits=16, observer=dict(type='minmax')),
    criterion=dict(type='output_error', tolerance=0.05),
    # The train dataset of the config with its test pipeline, unless there is a
    # `dataloader=dict(...)` here. (Left out, not None: a child config could not
    # replace None by a dict.)
    calibration=dict(num_images=128, batch_size=8))
