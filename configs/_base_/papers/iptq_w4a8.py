# As iptq_w8a8.py with weights of 4 bits.
_base_ = './iptq_w8a8.py'
quantization = dict(weight=dict(bits=4))
