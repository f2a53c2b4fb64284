# Inputs of linear layers with 16 bits (`activation.least_db`): DeiT-Tiny W8A8.
_base_ = '../_base_/calibration/held_out.py'
title = 'Decibels that rounding the inputs has to leave: DeiT-Tiny W8A8'
notes = """
Where rounding all operands leaves less at the outputs of the backbone, as few inputs of
linear layers as it takes have 16 bits. Every fifth of the 500 images for calibration
evaluates, 128 of the others calibrate: these rows choose the preset, so none of them looks
at the images of the evaluation."""
_IMAGES = {
    'quantization.calibration.num_images': 128,
    'quantization.calibration.analysis_images': 32,
}
settings = [
    dict(
        name=f'W8A8: {least:g} dB',
        config='configs/deit/deit-tiny_w8a8_in1k-sample.py',
        options={
            **_IMAGES, 'quantization.activation.least_db': least
        }) for least in (22.0, 25.0, 26.0, 27.0, 28.0, 30.0)
]
