# The functions of I-BERT as published, with 8-bit inputs, which lose nearly everything
# until the model is trained: python tools/train.py. The images need no labels.
_base_ = ['./deit-tiny_w8a8_in1k-sample.py', '../_base_/qat/one_epoch.py']
quantization = dict(
    # Before training, the model is worse than its linear layers explain.
    on_mismatch='warn',
    wide=dict(gelu=8, softmax=8),
    # Ranges that suit the functions.
    calibration=dict(function_ranges='site'))
candidates = dict(
    gelu=[dict(type='i_gelu', literal=True)],
    softmax=[dict(type='i_softmax', literal=True)],
    layer_norm=[dict(type='ibert_layernorm', literal=True)])
qat = dict(loss='features')
