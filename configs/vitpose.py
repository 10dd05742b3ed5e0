"""The paper's own front end: person boxes by RTMDet, keypoints by ViTPose, through mmdet and mmpose.

Needs the extra ``openmmlab`` and ``mocap-video weights fetch rtmdet-m vitpose-b``; see docs/detectors.md.
"""

front_end = dict(
    detector=dict(type="rtmdet", weights="rtmdet-m", score=0.3),
    keypoints=dict(type="vitpose", weights="vitpose-b", precision="fp32", flip_test=False, batch=16),
)
people = dict(
    # RTMDet finds people of all sizes and postures. What merely moves is no candidate: a network that was only ever
    # shown people finds a pose in anything.
    scan=dict(motion=False, hog=False),
    # The peaks of heatmaps stay below one on the clearest picture.
    gate=dict(presence=0.5, off_ground_presence=0.75),
    tracking=dict(high_presence=0.5),
)
lift = dict(samples=4, seed=0)
fit = dict()
render = dict()
