"""What a user may choose: configurations shipped in the wheel."""

if __name__ != "mocap_video.configs":
    raise ImportError(f"import this package as mocap_video.configs, not as {__name__}: install mocap-video first")
