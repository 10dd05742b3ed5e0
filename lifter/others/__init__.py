"""Motion that other methods wrote, in their published layouts, read so that ``eval`` can score it."""

if __name__ != "mocap_video.lifter.others":
    raise ImportError(f"import this package as mocap_video.lifter.others, not as {__name__}: install mocap-video first")
