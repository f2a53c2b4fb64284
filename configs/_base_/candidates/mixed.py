# The search space of Mixed Non-linear Quantization, the predecessor of
# IPTQ-ViT.
candidates = dict(
    gelu=[dict(type='i_gelu'), dict(type='shift_gelu')],
    softmax=[
        dict(type='i_softmax'),
        dict(type='log_int_softmax'),
        dict(type='shiftmax'),
    ],
    layer_norm=[
        dict(type='ibert_layernorm'),
        dict(type='fqvit_layernorm'),
        dict(type='ivit_layernorm'),
    ])
