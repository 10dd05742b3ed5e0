"""Training runs: what was used for the shipped weights, and small ones for tests."""

if __name__ != "mocap_video.configs.training":
    raise ImportError(
        f"import this package as mocap_video.configs.training, not as {__name__}: install mocap-video first"
    )
