# Not in the paper: as iptq_w8a8.py with 6 bits wherever that has 8 (probabilities of Swin keep 8).
_base_ = './iptq_w8a8.py'
quantization = dict(
    weight=dict(bits=6), activation=dict(bits=6), wide=dict(gelu=6, softmax=6))
