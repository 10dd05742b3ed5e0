"""Stage 2 of a lifter of SMPL's 24 joints: all views together, given V0's keypoints. Starts from stage 1's weights."""

stage = 2
skeleton = "smpl24"
network = dict(joints=24, width=192, layers=6, heads=4, feed_forward=512)
steps = 1800
warmup = 100
batch = 32
frames = 32
rate = 1e-3
seed = 0
