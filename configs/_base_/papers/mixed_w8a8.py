# Mixed Non-linear Quantization for Vision Transformers: the function of each layer by
# the difference of the SQNR of its input and output.
_base_ = './ivit_w8a8.py'
# The paper writes that the lowest difference of output and input is chosen, which would
# be the function that destroys most; its figures praise the one that preserves most.
quantization = dict(
    criterion=dict(type='sqnr_difference', reading='degradation'))
