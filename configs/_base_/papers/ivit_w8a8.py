# The linear side of both papers, which quantize on top of I-ViT's code: 8 bits where
# its QuantAct has 8, 16 where it has 16 (the residual stream and with it the inputs of
# LayerNorm, attention probabilities). docs/papers.md says what differs from that code.
quantization = dict(
    regions=[],
    # The normalized image has a scale like any other activation.
    pixels=False,
    equalization=[],
    # One scale for each output channel.
    weight=dict(
        bits=8,
        observer=dict(type='minmax'),
        rounding=dict(type='nearest'),
        bias_correction=False),
    # QuantAct: averages of minimum and maximum, symmetric.
    activation=dict(
        bits=8, observer=dict(type='ema', momentum=0.95), symmetric=True),
    # GELU and Softmax get 8 bits here: what the functions of I-BERT were not made for.
    wide=dict(
        bits=16,
        observer=dict(type='ema', momentum=0.95),
        gelu=8,
        softmax=8),
    # Neither paper is known to say how many images calibrate: as the presets.
    calibration=dict(num_images=128, batch_size=8))
