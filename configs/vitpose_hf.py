"""ViTPose and RT-DETR through Hugging Face transformers: the same kind of front end as ``vitpose``, without mmcv.

Needs the extra ``hf`` and ``mocap-video weights fetch rtdetr-r50-hf vitpose-b-hf``; see docs/detectors.md.
"""

front_end = dict(
    detector=dict(type="detr", weights="rtdetr-r50-hf", score=0.4),
    keypoints=dict(type="vitpose-hf", weights="vitpose-b-hf", precision="fp32", flip_test=False, batch=16),
)
people = dict(
    # The same reasons as in vitpose.py.
    scan=dict(motion=False, hog=False),
    gate=dict(presence=0.5, off_ground_presence=0.75),
    tracking=dict(high_presence=0.5),
)
lift = dict(samples=4, seed=0)
fit = dict()
render = dict()
