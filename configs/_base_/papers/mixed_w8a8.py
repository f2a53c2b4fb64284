# Mixed Non-linear Quantization for Vision Transformers: the function of each layer by
# the difference of the SQNR of its input and output.
_base_ = ['./ivit_w8a8.py', '../qat/one_epoch.py']
# The paper writes that the lowest difference of output and input is chosen, which would
# be the function that destroys most; its figures praise the one that preserves most.
quantization = dict(
    # Whole models, each with the functions of one method.
    analysis='whole-model',
    criterion=dict(type='sqnr_difference', reading='degradation'))
# The epoch of training, with tools/train.py: on labels, as I-ViT's code. Without it,
# tools/quantize.py.
qat = dict(loss=['labels'])
