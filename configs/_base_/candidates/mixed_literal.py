# The search space of Mixed Non-linear Quantization with the published arithmetic of
# each function. FQ-ViT has no integer GELU.
candidates = dict(
    gelu=[
        dict(type='i_gelu', literal=True),
        dict(type='shift_gelu', literal=True),
    ],
    softmax=[
        dict(type='i_softmax', literal=True),
        dict(type='log_int_softmax', literal=True),
        dict(type='shiftmax', literal=True),
    ],
    layer_norm=[
        dict(type='ibert_layernorm', literal=True),
        dict(type='fqvit_layernorm', literal=True),
        dict(type='ivit_layernorm', literal=True),
    ])
