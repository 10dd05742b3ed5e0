"""Motion for training: read, retargeted to our body, varied, seen by random cameras, and made noisy."""

if __name__ != "mocap_video.lifter.data":
    raise ImportError(f"import this package as mocap_video.lifter.data, not as {__name__}: install mocap-video first")
