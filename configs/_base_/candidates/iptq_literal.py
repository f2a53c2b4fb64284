# The search space of IPTQ-ViT with the published arithmetic of each function.
candidates = dict(
    gelu=[
        dict(type='i_gelu', literal=True),
        dict(type='shift_gelu', literal=True),
        # Fitted within the range of the calibration data; no code of it is public.
        dict(type='poly_gelu', objective='erf', fit='range'),
    ],
    softmax=[
        dict(type='i_softmax', literal=True),
        dict(type='log_int_softmax', literal=True),
        dict(type='shiftmax', literal=True),
        # Splits exponents at the floor, as I-ViT: the paper is not known to say how.
        dict(type='bit_softmax', literal=True),
    ],
    # The paper has no LayerNorm of its own.
    layer_norm=[
        dict(type='ibert_layernorm', literal=True),
        dict(type='fqvit_layernorm', literal=True),
        dict(type='ivit_layernorm', literal=True),
    ])
