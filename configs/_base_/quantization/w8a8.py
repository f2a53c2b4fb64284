# Weights and activations of 8 bits. A model config adds `regions`, the
# sub-modules that run on integers only, and overrides what it wants otherwise.
quantization = dict(
    regions=[],
    # Where a region gets the normalized image, it takes the pixels themselves: exact.
    pixels=True,
    # Channels with like ranges, exactly: factors move from the outputs of LayerNorm,
    # from queries, keys and values, and from a residual stream that linear layers read
    # into the parameters around them.
    equalization=[
        dict(type='layer_norm'), dict(type='attention'),
        dict(type='power_of_two', max_power=4, linear=True)],
    weight=dict(
        bits=8, observer=dict(type='minmax'), rounding=dict(type='second_order'),
        bias_correction=True),
    # search_images=128 chooses ranges by what they do to the outputs of the region:
    # 0.4 dB for twice the time on DeiT-Tiny.
    activation=dict(
        bits=8, observer=dict(type='percentile', percentile=99.999),
        search_images=0,
        # Where 8 bits leave less, whatever the range, the inputs of linear layers that
        # cost most have 16 bits.
        least_db=22.0),
    # The residual stream, attention scores and attention probabilities.
    wide=dict(bits=16, observer=dict(type='minmax')),
    # docs/criteria.md says how criteria compare; the paper's is 'unified_metric'.
    criterion=dict(type='output_error', tolerance=0.05),
    # The train dataset of the config with its test pipeline, unless there is a
    # `dataloader=dict(...)` here. (Left out, not None: a child config could not
    # replace None by a dict.)
    calibration=dict(num_images=128, batch_size=8))
