"""Pictures of the result: arrays in, frames out."""

if __name__ != "mocap_video.render":
    raise ImportError(f"import this package as mocap_video.render, not as {__name__}: install mocap-video first")
