# The search space of IPTQ-ViT and look-up tables beside it: the default of the
# model configs.
candidates = dict(
    gelu=[
        dict(type='i_gelu'),
        dict(type='shift_gelu'),
        dict(type='poly_gelu'),
        dict(type='table_gelu'),
        dict(type='interpolated_gelu'),
    ],
    softmax=[
        dict(type='i_softmax'),
        dict(type='log_int_softmax'),
        dict(type='shiftmax'),
        dict(type='bit_softmax'),
        dict(type='table_softmax'),
    ],
    layer_norm=[
        dict(type='ibert_layernorm'),
        dict(type='fqvit_layernorm'),
        dict(type='ivit_layernorm'),
    ])
