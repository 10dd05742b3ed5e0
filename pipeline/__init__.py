"""The stages in order, the command line, and everything that touches files."""

if __name__ != "mocap_video.pipeline":
    raise ImportError(f"import this package as mocap_video.pipeline, not as {__name__}: install mocap-video first")
