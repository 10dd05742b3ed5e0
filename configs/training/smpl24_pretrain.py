"""Stage 1 of a lifter of SMPL's 24 joints: one random view at a time, from noise, cameras and ground alone."""

stage = 1
skeleton = "smpl24"
network = dict(joints=24, width=192, layers=6, heads=4, feed_forward=512)
steps = 150
warmup = 50
batch = 64
frames = 32
rate = 1e-3
seed = 0
