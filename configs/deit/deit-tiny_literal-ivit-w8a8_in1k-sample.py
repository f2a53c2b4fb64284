# Without the method: the published integer constants of I-ViT at every site.
_base_ = './deit-tiny_w8a8_in1k-sample.py'
quantization = dict(
    activation=dict(guard_images=0),
    # Functions of 8-bit inputs, as published.
    wide=dict(gelu=8, softmax=8),
    # Ranges that suit the functions.
    calibration=dict(function_ranges='site'))
candidates = dict(
    gelu=[dict(type='shift_gelu', literal=True)],
    softmax=[dict(type='shiftmax', literal=True)],
    layer_norm=[dict(type='ivit_layernorm', literal=True)])
