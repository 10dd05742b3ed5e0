"""Cameras, the ground and the files that describe them."""

if __name__ != "mocap_video.calib":
    raise ImportError(f"import this package as mocap_video.calib, not as {__name__}: install mocap-video first")
