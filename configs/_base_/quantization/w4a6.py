# Weights of 4 bits, activations of 6. See w8a8.py for the fields.
quantization = dict(
    regions=[],
    # Where a region gets the normalized image, it takes the pixels themselves: exact.
    pixels=True,
    # Of outliers alone: what equalization of all channels moves into weights is more than
    # 16 levels bear.
    equalization=[
        dict(type='layer_norm', shift=False, beyond=8.0),
        dict(type='attention', beyond=8.0),
        dict(type='power_of_two', max_power=4, linear=True, beyond=8.0)],
    # Guided: tokens that the outputs depend on count more.
    # Each 8 inputs of an output channel have a factor of 4 bits: a weight has 4.5.
    weight=dict(
        bits=4, group=8, observer=dict(type='mse'),
        rounding=dict(type='second_order'), bias_correction=True, guided=True),
    # With 64 levels it pays to clip more than with 256.
    activation=dict(
        bits=6, observer=dict(type='percentile', percentile=99.99),
        # Levels that are not evenly spaced, on a grid of 8 bits: operands of products
        # have many small values and few large ones.
        codes=dict(
            gelu=dict(type='levels'), layer_norm=dict(type='levels'),
            linear=dict(type='levels'), matmul=dict(type='levels')),
        # Where 6 bits leave less, whatever the range, the inputs of linear layers that
        # cost most have 16.
        least_db=14.0),
    # The residual stream, attention scores and attention probabilities.
    wide=dict(bits=16, observer=dict(type='minmax')),
    criterion=dict(type='output_error', tolerance=0.05),
    # Off: the blocks learn what the float ones return, for many times the time of the
    # other phases. See docs/architecture.md.
    # reconstruction=dict(epochs=4),
    # The train dataset of the config with its test pipeline, unless there is a
    # `dataloader=dict(...)` here. (Left out, not None: a child config could not
    # replace None by a dict.)
    # The second-order rounding of few bits gains from more images than ranges do.
    calibration=dict(num_images=500, batch_size=8))
