"""From 2D keypoints to metric 3D motion and a body."""

if __name__ != "mocap_video.lifter":
    raise ImportError(f"import this package as mocap_video.lifter, not as {__name__}: install mocap-video first")
