"""People in the image: boxes, 2D keypoints, identity over time."""

if __name__ != "mocap_video.detectors":
    raise ImportError(f"import this package as mocap_video.detectors, not as {__name__}: install mocap-video first")
