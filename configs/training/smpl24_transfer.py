"""A lifter of SMPL's 24 joints: stage 2 from a finished COCO-17 network, whose layers know motion and cameras."""

stage = 2
skeleton = "smpl24"
network = dict(joints=24, width=192, layers=6, heads=4, feed_forward=512)
optimizer = "muon"
steps = 750
warmup = 50
batch = 32
frames = 32
rate = 1e-3
seed = 2
