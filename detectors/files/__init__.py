"""2D keypoints that somebody else found: one module a family of file formats."""

if __name__ != "mocap_video.detectors.files":
    raise ImportError(
        f"import this package as mocap_video.detectors.files, not as {__name__}: install mocap-video first"
    )
